"""Features and images, of volumes and surfaces, that follow them."""

import numpy as np
import pytest
from masking_cases import SHAPE, N, surface, volume


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(N, 4))


@pytest.fixture(scope="module")
def imgs(X):
    rng = np.random.default_rng(1)
    return volume((5 + rng.normal(size=(*SHAPE, N)) + X[:, 0]).astype(np.float32))


@pytest.fixture(scope="module")
def surf_imgs(X):
    rng = np.random.default_rng(2)
    return surface(*(5 + rng.normal(size=(2, 10242, N)) + X[:, 0]).astype(np.float32))
