import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from tiny_saes import D_MODEL, make_sae, make_texts

from sklearn_sae_encoding._sae.encoding import Encoder
from sklearn_sae_encoding._sae.growing import GrowingRows
from sklearn_sae_encoding.sae import SAEProjector

STATUS = Path("/proc/self/status")


def random_rows(n_rows, rng):
    return sparse.csr_array(sparse.random(n_rows, 300, density=0.9, random_state=rng, format="csr", dtype=np.float32))


def test_rows_that_come_in_parts_are_those_of_one_array_and_cut_as_asked():
    rng = np.random.default_rng(0)
    parts = [random_rows(n_rows, rng) for n_rows in (1, 0, 4000, 3, 700, 600)]  # more than there is room for at first
    whole = sparse.vstack(parts, format="csr")
    found = GrowingRows(whole.shape[0])
    for part in parts:
        found.append(part)
    together = found.together()
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name), strict=True)
    lengths = np.array([0, 5000, 1, 303, 0])
    assert lengths.sum() == whole.shape[0]
    for rows, stop, length in zip(found.cut(lengths), np.cumsum(lengths), lengths, strict=True):
        assert rows.shape == (length, 300)
        assert rows.indices.dtype == rows.indptr.dtype == np.int32
        np.testing.assert_array_equal(rows.toarray(), whole[stop - length : stop].toarray())


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize("level", ["text", "token"])
def test_no_rows_of_an_earlier_chunk_are_alive_while_the_next_one_is_encoded(level, pooling, monkeypatch):
    came, alive, append, encode = [], [], GrowingRows.append, Encoder.__call__

    def watched_append(self, rows):
        came.append(weakref.ref(rows.data))
        append(self, rows)

    def watched_encode(self, values):
        alive.append(sum(one() is not None for one in came))
        return encode(self, values)

    texts = make_texts(n_texts=40)
    projector = SAEProjector(make_sae(), level=level, pooling=pooling, chunk_size=6, check_match=False).fit(texts)
    expected = SAEProjector(make_sae(), level=level, pooling=pooling, check_match=False).fit_transform(texts)
    monkeypatch.setattr(GrowingRows, "append", watched_append)
    monkeypatch.setattr(Encoder, "__call__", watched_encode)
    rows = projector.transform(texts)
    assert len(came) == len(alive) > 5
    assert not any(alive)
    for found, single in zip(rows, expected, strict=True):
        np.testing.assert_allclose(found.toarray(), single.toarray(), rtol=1e-6)


@pytest.mark.skipif(not STATUS.exists(), reason="what a process takes is read as Linux says it")
def test_a_process_does_not_grow_by_dense_chunks():
    # A chunk of 32 MB, which the C library of Linux keeps and shares out anew, as it does with nothing larger.
    n_chunks = 40
    rng = np.random.default_rng(0)
    sae = wide_sae(32_768)
    texts = [rng.standard_normal((20, sae.cfg.d_in), dtype=np.float32) for _ in range(12 * n_chunks)]
    projector = SAEProjector(sae, level="token", chunk_size=256, check_match=False).fit(texts[:12])
    projector.transform(texts[:48])
    before = megabytes_held()
    rows = sparse.vstack(list(projector.transform(texts)))
    assert 0.003 < rows.nnz / (rows.shape[0] * 32_768) < 0.3
    assert megabytes_held() - before < 300  # 40 chunks are 1,280


def wide_sae(n_features):
    """Random JumpReLU SAE of which one feature in a hundred is on."""
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class("jumprelu")
    sae = sae_class(config_class(d_in=D_MODEL, d_sae=n_features))
    sae.W_enc.data[:] = torch.randn(sae.W_enc.shape, generator=torch.Generator().manual_seed(0)) / D_MODEL**0.5
    sae.threshold.data.fill_(2.3)
    return sae.eval().requires_grad_(False)


def megabytes_held():
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
