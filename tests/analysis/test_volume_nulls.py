"""Maps in a volume: the published correlations of reliabilities, and how often smooth noise is called related."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from sklearn_sae_encoding.analysis import compare_volume_maps, smooth_random_maps

SHAPE = (16, 18, 16)
PUBLISHED = Path(os.environ.get("SKLEARN_SAE_ENCODING_DATA", "")) / "lpp_reliability" / "lpp_isc.npz"


def ball():
    grid = np.indices(SHAPE)
    return sum(((axis - n / 2 + 0.5) / (n / 2)) ** 2 for axis, n in zip(grid, SHAPE, strict=True)) < 1


def smooth_map(rng, width=1.5):
    wide = ndimage.gaussian_filter(rng.standard_normal([2 * n for n in SHAPE]), width)
    return np.where(ball(), wide[tuple(slice(n // 2, n // 2 + n) for n in SHAPE)], np.nan)


def neighbour_correlation(volume, step=2):
    first, second = volume[step:], volume[:-step]
    both = np.isfinite(first) & np.isfinite(second)
    return np.corrcoef(first[both], second[both])[0, 1]


def test_random_maps_have_the_values_mask_and_smoothness_of_the_map():
    volume = smooth_map(np.random.default_rng(0))
    drawn = list(smooth_random_maps(volume, 20, random_state=0))
    for one in drawn:
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(volume, axis=None))
        np.testing.assert_array_equal(np.isnan(one), np.isnan(volume))
    mean = np.mean([neighbour_correlation(one) for one in drawn])
    assert mean == pytest.approx(neighbour_correlation(volume), abs=0.12)
    rough = np.where(ball(), np.random.default_rng(1).standard_normal(SHAPE), np.nan)
    assert abs(neighbour_correlation(next(smooth_random_maps(rough, 1, random_state=0)))) < 0.1


def test_unrelated_smooth_maps_are_rarely_called_related_and_the_plain_test_would_err_often():
    rng, p, plain = np.random.default_rng(0), [], []
    for seed in range(30):
        maps = {"a": smooth_map(rng), "b": smooth_map(rng)}
        row = compare_volume_maps(maps, n_draws=19, random_state=seed).table.loc[0]
        p.append(row["p"])
        plain.append(abs(row["spearman"]) > 1.96 / np.sqrt(row["n_voxels"]))
    assert np.mean(np.array(p) <= 0.05) <= 0.15  # 1.5 of 30 expected
    assert np.mean(plain) > 0.4


def test_a_shared_map_is_found_under_noise():
    rng = np.random.default_rng(3)
    shared = smooth_map(rng)
    maps = {name: shared + 0.5 * smooth_map(rng) for name in ("en", "fr", "zh")}
    table = compare_volume_maps(maps, n_draws=99, random_state=0).table
    assert table[["first", "second"]].to_numpy().tolist() == [["en", "fr"], ["en", "zh"], ["fr", "zh"]]
    assert (table["p"] == 0.01).all()


def test_bad_maps_are_named():
    one = smooth_map(np.random.default_rng(0))
    with pytest.raises(ValueError, match="two or more maps on one grid"):
        compare_volume_maps({"a": one, "b": one[1:]})
    with pytest.raises(ValueError, match="masks of 'a' and 'b' share 0 voxels"):
        compare_volume_maps({"a": one, "b": np.full(SHAPE, np.nan)})
    with pytest.raises(ValueError, match="three or more values, got 0"):
        next(smooth_random_maps(np.full(SHAPE, np.nan), 1))


@pytest.mark.published_data
@pytest.mark.skipif(not PUBLISHED.is_file(), reason="no lpp_reliability/lpp_isc.npz in SKLEARN_SAE_ENCODING_DATA")
def test_reliabilities_of_le_petit_prince_correlate_as_published():
    with np.load(PUBLISHED) as stored:
        maps = {name: stored[name] for name in ("en", "fr", "cn")}
    table = compare_volume_maps(maps, n_draws=19, random_state=0).table
    np.testing.assert_allclose(table["spearman"], [0.867, 0.901, 0.829], atol=5e-4)
    assert (table["p"] == 0.05).all()
