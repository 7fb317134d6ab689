"""The section of the report on what participants share."""

import numpy as np
import pytest
from report_cases import given, make_encoder, make_features, make_responses, make_texts, text_of

from sklearn_sae_encoding.analysis import group_map
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.report import encoder_report


def maps_of(n_participants, n_voxels, n_planted=4, seed=0):
    maps = np.random.default_rng(seed).normal(size=(n_participants, n_voxels))
    maps[:, :n_planted] += np.where(np.arange(n_planted) % 2, -6.0, 6.0)
    return maps


def test_what_passes_over_participants_is_counted_by_region_and_sign(case):
    X, Y, encoder, _ = case
    maps = maps_of(8, 12)
    maps[0, 5] = np.nan
    group = group_map(maps, own_p_values=np.where(np.arange(12) < 3, 0.01, 0.5) + np.zeros((8, 1)))
    regions = ["IFG"] * 6 + ["MFG"] * 5 + [""]
    found = group.fwe_p_values <= 0.05
    assert np.flatnonzero(found).tolist() == [0, 1, 2, 3]
    options = {**given(X), "group": group, "regions": regions}
    page = text_of(encoder_report(encoder, make_texts(), Y, **options))
    assert "Over 7 to 8 participants a voxel" in page
    assert "all 256 flips of participants’ signs" in page
    rows = {"all": np.arange(12), "IFG": np.arange(6), "MFG": np.arange(6, 11)}
    for name, own in rows.items():
        above, below = (found & (np.sign(group.t) == sign) for sign in (1, -1))
        fdr, smallest = (group.fdr_q_values[own] <= 0.05).sum(), group.p_values[own].min()
        passing = 8 if own[0] == 0 else 0
        expected = (
            f"{name} {len(own)} {group.mean[own].mean():.3f} {above[own].sum()} {below[own].sum()} {fdr} "
            f"{smallest:.3g} {passing} of 8"
        )
        assert expected in page
    assert "no two-sided flip" not in page


def test_with_few_participants_the_page_says_that_nothing_can_pass(case):
    X, Y, encoder, _ = case
    with pytest.warns(UserWarning, match="With 4 participants"):
        group = group_map(maps_of(4, 12))
    page = text_of(encoder_report(encoder, make_texts(), Y, **given(X), group=group))
    assert "With 4 participants no two-sided flip can reach .05 (the smallest p is 0.125)" in page
    assert "Most who pass" not in page


def test_a_group_map_is_drawn_in_a_volume(image_case):
    X, images, model, _ = image_case
    group = group_map(maps_of(8, 120), own_p_values=np.full((8, 120), 0.01))
    html = encoder_report(model, make_texts(), images, **given(X), group=group).html
    assert "Map of the group: 4 voxels pass at a family-wise 0.05" in html
    assert "Map of counts: up to 8 participants pass their own test" in html
    nothing = group_map(maps_of(8, 120, n_planted=0))
    html = encoder_report(model, make_texts(), images, **given(X), group=nothing).html
    assert "Map of the mean over participants: no voxel passes at a family-wise 0.05" in html


def test_a_group_map_is_drawn_on_a_surface():
    from nilearn.maskers import SurfaceMasker
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    points = np.random.default_rng(0).normal(size=(30, 3)) * 40
    faces = np.column_stack([np.arange(28), np.arange(1, 29), np.arange(2, 30)])
    mesh = PolyMesh(**dict.fromkeys(["left", "right"], InMemoryMesh(points, faces)))
    X = make_features()
    Y = make_responses(X, n_voxels=60)
    images = SurfaceImage(mesh, {"left": Y[:, :30].T, "right": Y[:, 30:].T})
    mask = SurfaceImage(mesh, {side: np.ones(30, dtype=bool) for side in ("left", "right")})
    model = MaskedTargetRegressor(make_encoder(), SurfaceMasker(mask)).fit(X, images)
    group = group_map(maps_of(8, 60))
    html = encoder_report(model, make_texts(), images, **given(X), group=group).html
    assert "Map of the group: 4 voxels pass" in html


def test_a_group_map_of_other_voxels_is_refused(case):
    X, Y, encoder, _ = case
    with pytest.raises(ValueError, match="of the 12 voxels of Y, in the same space, got 20 voxels"):
        encoder_report(encoder, make_texts(), Y, **given(X), group=group_map(maps_of(8, 20)))
    with pytest.raises(ValueError, match="what group_map gives, got ndarray"):
        encoder_report(encoder, make_texts(), Y, **given(X), group=maps_of(8, 12))
