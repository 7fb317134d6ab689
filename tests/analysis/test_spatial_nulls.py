"""Spins of the sphere."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from sklearn_sae_encoding.analysis import parcel_centres, spin_places, spin_test


def fibonacci(n):
    """Points spread evenly over the unit sphere."""
    k = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    return np.column_stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)])


@pytest.fixture(scope="module")
def sphere():
    left = fibonacci(300)
    return {"left": left, "right": left * [-1, 1, 1]}


def smooth_map(points, rng):
    """Sum of broad bumps at random places."""
    centres = rng.normal(size=(6, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return np.exp(3 * points @ centres.T) @ rng.normal(size=6)


def test_a_spin_moves_every_place_by_one_rotation_and_the_right_side_in_the_mirror(sphere):
    places = spin_places(sphere, n_spins=5, random_state=0)
    np.testing.assert_array_equal(places[:, 300:] - 300, places[:, :300])
    points = sphere["left"]
    for spin in places[:, :300]:
        # A rotation keeps angles: those between places are those between where their values come from.
        np.testing.assert_allclose(points[spin] @ points[spin].T, points @ points.T, atol=0.35)


def test_places_that_the_medial_wall_lands_on_have_no_value_and_the_wall_itself_neither(sphere):
    kept = np.r_[sphere["left"][:, 0] > -0.7, sphere["right"][:, 0] < 0.7]
    places = spin_places(sphere, kept=kept, n_spins=20, random_state=1)
    assert (places[:, ~kept] == -1).all()
    assert kept[places[places >= 0]].all()
    assert (places[:, kept] == -1).any()


def test_unique_assignment_uses_every_kept_place_once(sphere):
    kept = np.r_[sphere["left"][:, 0] > -0.7, np.ones(300, dtype=bool)]
    for spin in spin_places(sphere, kept=kept, n_spins=3, assignment="unique", random_state=2):
        np.testing.assert_array_equal(np.sort(spin[kept]), np.flatnonzero(kept))
        assert (spin[~kept] == -1).all()


@pytest.mark.parametrize(("method", "witness"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_the_statistic_is_scipys_over_places_that_both_maps_have(sphere, method, witness):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 600))
    x[:50], y[40:60] = np.nan, np.nan
    result = spin_test(x, y, spin_places(sphere, n_spins=9, random_state=0), method=method)
    assert result.statistic == pytest.approx(witness(x[60:], y[60:]).statistic)


def test_a_map_agrees_with_itself_and_sides_are_told_apart(sphere):
    x = smooth_map(np.vstack(list(sphere.values())), np.random.default_rng(4))
    places = spin_places(sphere, n_spins=199, random_state=4)
    assert spin_test(x, x, places).p_value == pytest.approx(1 / 200)
    assert spin_test(x, x, places, alternative="less").p_value == 1.0
    assert spin_test(x, -x, places, alternative="less").p_value == pytest.approx(1 / 200)


@pytest.mark.parametrize("assignment", ["nearest", "unique"])
def test_spins_hold_their_level_on_independent_smooth_maps_where_a_naive_test_rejects_a_third_and_more(assignment):
    rng, points = np.random.default_rng(5), fibonacci(120)
    places = spin_places({"left": points}, n_spins=99, assignment=assignment, random_state=5)
    pairs = [(smooth_map(points, rng), smooth_map(points, rng)) for _ in range(200)]
    assert np.mean([spin_test(x, y, places).p_value <= 0.1 for x, y in pairs]) < 0.17
    assert np.mean([pearsonr(x, y).pvalue <= 0.1 for x, y in pairs]) > 0.33


def test_centres_of_parcels_lie_on_the_sphere_among_their_vertices(sphere):
    points = np.vstack(list(sphere.values()))
    labels = np.where(points[:, 2] > 0.5, "top", np.where(points[:, 2] < -0.5, "bottom", ""))
    centres, parcels = parcel_centres(labels, sphere)
    assert parcels.tolist() == ["bottom", "top", "bottom", "top"]
    np.testing.assert_allclose(np.vstack(list(centres.values())), [[0, 0, -1], [0, 0, 1]] * 2, atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(centres["left"], axis=1), 1)


@pytest.mark.parametrize("nowhere", ["", 0, None, np.nan])
def test_vertices_of_no_parcel_are_left_out_however_atlases_say_it(sphere, nowhere):
    labels = np.full(600, nowhere, dtype=object)
    labels[:20], labels[580:] = 1, 2
    centres, parcels = parcel_centres(labels, sphere)
    assert parcels.tolist() == [1, 2]
    assert {side: len(of_side) for side, of_side in centres.items()} == {"left": 1, "right": 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: spin_places(np.zeros((3, 3))), "nilearn PolyMesh or a dict"),
        (lambda s: spin_places({"left": s["left"] * [1, 1, 3]}), "Give the sphere mesh"),
        (lambda s: spin_places({"left": s["left"][:, :2]}), r"shape \(n_places, 3\), got \(300, 2\)"),
        (lambda s: spin_places(s, kept=np.ones(5, dtype=bool)), "Is the sphere of another resolution"),
        (lambda s: spin_places(s, assignment="random"), "assignment must be one of"),
        (lambda s: spin_test(np.ones(5), np.ones(5), np.zeros((2, 6), dtype=int)), "another resolution"),
        (lambda s: spin_test(np.full(5, np.nan), np.ones(5), np.zeros((2, 5), dtype=int)), "Only 0 places"),
        (lambda s: parcel_centres(["a"] * 5, s), r"a label for each of 600 vertices, .* another resolution"),
    ],
)
def test_what_is_no_sphere_or_of_another_one_is_refused(sphere, call, message):
    with pytest.raises(ValueError, match=message):
        call(sphere)
