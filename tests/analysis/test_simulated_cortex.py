"""Kinds of features, planted in the responses of a simulated cortex, are found there; kinds that mean nothing not."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    FeatureTaxonomy,
    category_topography,
    compare_with_matched,
    draw_matched_features,
    encode_by_category,
    spin_places,
    spin_test,
    summarize_categories,
    topography_convergence,
)
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

SUBCATEGORIES = ("emotion", "person", "action", "place", "object")
N_PARTICIPANTS, N_VOXELS, N_REGIONS, N_TEXTS = 4, 240, 10, 200
FOLDS = KFold(4)


def spread_over_sphere(n):
    k = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    return np.column_stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)])


class Cortex:
    """60 features, a third of them semantic ones of five kinds, each of which drives voxels in two of ten regions."""

    def __init__(self, rng):
        self.kinds = [*(name for name in SUBCATEGORIES for _ in range(4)), *["lexical"] * 20, *["positional"] * 20]
        self.X = rng.exponential(size=(N_TEXTS, 60)) * (rng.random((N_TEXTS, 60)) < 0.3)
        self.points = spread_over_sphere(N_VOXELS)
        seeds = Rotation.from_euler("x", 20, degrees=True).apply(spread_over_sphere(N_REGIONS))
        self.region = np.array([f"r{i}" for i in (self.points @ seeds.T).argmax(axis=1)], dtype=object)
        names = [f"r{i}" for i in range(N_REGIONS)]
        places = rng.permutation(N_REGIONS).reshape(5, 2)
        self.planted = pd.DataFrame(0.0, list(SUBCATEGORIES), names)
        for row, own in enumerate(places):
            self.planted.iloc[row, own] = 1.0
        row_of = {names[place]: row for row, own in enumerate(places) for place in own}
        self.Y, self.participant = [], np.repeat([f"p{i}" for i in range(N_PARTICIPANTS)], N_VOXELS)
        for _ in range(N_PARTICIPANTS):
            drivers = [4 * row_of[name] + rng.integers(4) for name in self.region]
            others = rng.integers(20, 60, size=N_VOXELS)
            signal = self.X[:, drivers] + 0.3 * self.X[:, others]
            self.Y.append(signal + rng.normal(size=signal.shape))

    def taxonomy(self, kinds):
        rows = [
            {"index": i, "category": "semantic", "subcategory": kind} if kind in SUBCATEGORIES else
            {"index": i, "category": kind}
            for i, kind in enumerate(kinds)
        ]  # fmt: skip
        return FeatureTaxonomy(rows)

    def subcategories(self, kinds):
        groups = self.taxonomy(kinds).groups(range(60), level="subcategory")
        return {name: groups[f"semantic/{name}"] for name in SUBCATEGORIES}


@pytest.fixture(scope="module")
def cortex():
    return Cortex(np.random.default_rng(0))


@pytest.fixture(scope="module")
def weights(cortex):
    encoder = SparseVoxelEncoder(alphas=10, cv=3)
    return {f"p{i}": sparse.csr_array(encoder.fit(cortex.X, Y).coef_) for i, Y in enumerate(cortex.Y)}


def test_semantic_features_alone_predict_nearly_all_and_beat_as_many_others(cortex):
    groups, Y = cortex.taxonomy(cortex.kinds).groups(range(60)), np.hstack(cortex.Y)
    assert {name: len(columns) for name, columns in groups.items()} == dict.fromkeys(
        ("semantic", "lexical", "positional"), 20
    )
    found = encode_by_category(Ridge(5.0), cortex.X, Y, groups=groups, cv=FOLDS)
    table = summarize_categories(found, participants=cortex.participant).set_index("category")
    assert table.loc["semantic", "fraction_r"] > 0.95
    assert (table.loc[["lexical", "positional"], "fraction_r"] < 0.3).all()
    assert table.loc["semantic", "unique_low"] > 0.1  # features explain a third of the responses' variance at most
    assert table.loc[["lexical", "positional"], "unique_high"].max() < 0.05
    draws = draw_matched_features(cortex.X, groups["semantic"], n_draws=19, tolerance=0.1, random_state=0)
    options = {"draws": draws, "participants": cortex.participant, "cv": FOLDS}
    better = compare_with_matched(Ridge(5.0), cortex.X, Y, columns=groups["semantic"], **options)
    assert better.p_value == 1 / 20
    assert better.g_interval[0] > 1
    worse = compare_with_matched(
        Ridge(5.0), cortex.X, Y, columns=groups["lexical"], **options | {"draws": groups["semantic"][None]}
    )
    assert worse.p_value == 1


def test_subcategories_are_found_where_they_were_planted_and_shuffled_ones_nowhere(cortex, weights):
    regions = dict.fromkeys(weights, cortex.region)
    observed = category_topography(weights, regions, cortex.subcategories(cortex.kinds)).mean
    found = topography_convergence(observed, cortex.planted[observed.columns], n_permutations=999, random_state=0)
    assert found.n_overlap == found.n_predicted == 10
    assert found.p_overlap < 1e-6
    assert found.p_spearman == 1 / 1000
    rng, p = np.random.default_rng(1), []
    for _ in range(20):
        shuffled = cortex.subcategories(rng.permutation(cortex.kinds))
        observed = category_topography(weights, regions, shuffled).mean
        predicted = cortex.planted[observed.columns]
        p.append(topography_convergence(observed, predicted, n_permutations=99, random_state=0).p_spearman)
    assert np.mean(np.array(p) <= 0.05) <= 0.2


def test_maps_of_subcategories_agree_with_the_planted_ones_by_more_than_spun_maps(cortex, weights):
    places = spin_places({"left": cortex.points}, n_spins=199, random_state=0)
    for name, columns in cortex.subcategories(cortex.kinds).items():
        shares = np.mean([(abs(coef[:, columns]).sum(axis=1) > 0) for coef in weights.values()], axis=0)
        truth = cortex.planted.loc[name, list(cortex.region)].to_numpy()
        assert spin_test(shares, truth, places, alternative="greater").p_value == 1 / 200
