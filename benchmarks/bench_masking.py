"""A whole brain through the masker, the encoder and back to maps, in one process: seconds and peak memory of each step.

    python benchmarks/bench_masking.py [n_voxels] [n_stimuli] [n_alphas]

The images lie in a NIfTI file on a 3 mm grid of the MNI template, most of which the mask leaves out. The null
competitor is nilearn's masker by itself, on the whole file at once. Each contender runs in a process of its own.
The question is memory; each voxel's penalty is chosen by five folds, whose speed the encoder's own benchmarks compare.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
from _common import sparse_features
from nilearn.maskers import NiftiMasker

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.persistence import save_encoder

GRID = (61, 73, 61)
AFFINE = nibabel.affines.from_matvec(np.diag([3.0, 3.0, 3.0]), [-90, -126, -72])
N_FEATURES, N_ACTIVE = 2048, 32


def main(n_voxels=100_000, n_stimuli=1000, n_alphas=10):
    with tempfile.TemporaryDirectory() as folder:
        run("write", folder, n_voxels, n_stimuli, n_alphas)
        size = (Path(folder) / "betas.nii").stat().st_size / 2**30
        print(f"{n_stimuli} images of {np.prod(GRID):,} voxels ({size:.2f} GiB), {n_voxels:,} in the mask")
        print(f"{'':44}{'seconds':>9}{'peak GiB':>10}")
        run("nilearn", folder, n_voxels, n_stimuli, n_alphas)
        run("ours", folder, n_voxels, n_stimuli, n_alphas)


def run(step, folder, *sizes):
    subprocess.run([sys.executable, __file__, step, folder, *map(str, sizes)], check=True)


def write(folder, n_voxels, n_stimuli, n_alphas):
    """Write the images one by one: float32 volumes of noise, with one feature in every tenth voxel of the mask."""
    inside = ball(n_voxels)
    nibabel.save(nibabel.Nifti1Image(inside.astype(np.int8), AFFINE), folder / "mask.nii")
    X = features(n_stimuli).toarray()
    often = np.argsort(-np.count_nonzero(X, axis=0))[:50]
    chosen = often[np.arange(np.prod(GRID)) % len(often)].reshape(GRID)
    responds = np.arange(np.prod(GRID)).reshape(GRID) % 10 == 0
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((*GRID, n_stimuli))
    header.set_sform(AFFINE)
    rng = np.random.default_rng(0)
    with open(folder / "betas.nii", "wb") as file:
        header["vox_offset"] = 352
        file.write(header.binaryblock + bytes(352 - len(header.binaryblock)))
        for row in X:
            volume = rng.standard_normal(GRID, dtype=np.float32) + np.float32(5)
            volume += responds * (row / X.std(axis=0).clip(1e-6))[chosen].astype(np.float32)
            file.write(volume.tobytes(order="F"))


def nilearn(folder, n_voxels, n_stimuli, n_alphas):
    start = time.perf_counter()
    Y = NiftiMasker(folder / "mask.nii", standardize=None).fit().transform(folder / "betas.nii")
    report(f"NiftiMasker.transform alone ({Y.dtype})", start)


def ours(folder, n_voxels, n_stimuli, n_alphas):
    encoder = SparseVoxelEncoder(alphas=np.geomspace(0.2, 0.5, n_alphas), cv=5)
    model = MaskedTargetRegressor(encoder, NiftiMasker(folder / "mask.nii"))
    X = features(n_stimuli)
    start = time.perf_counter()
    Y = model.mask_targets(folder / "betas.nii")
    report("MaskedTargetRegressor.mask_targets", start)
    del Y
    begin = start = time.perf_counter()
    model.fit(X, folder / "betas.nii")
    report(f"fit on the file ({n_alphas} penalties)", start)
    start = time.perf_counter()
    for img in (model.coef_img(0), model.alpha_img(), model.support_size_img(), model.content_img(X, -1)):
        assert img.shape == GRID
    report("four maps", start)
    start = time.perf_counter()
    scores = model.voxel_scores_img(X, folder / "betas.nii")
    report("score map", start)
    start = time.perf_counter()
    save_encoder(model, folder / "encoder")
    report("save_encoder", start)
    report("all from fit on, and the peak of the run", begin)
    assert np.isfinite(scores.get_fdata()).all()


def features(n_stimuli):
    return sparse_features(n_stimuli, N_FEATURES, N_ACTIVE).tocsr()


def ball(n_voxels):
    middle = (np.array(GRID) - 1) / 2
    distance = sum((axis - m) ** 2 for axis, m in zip(np.indices(GRID), middle, strict=True))
    inside = np.zeros(np.prod(GRID), dtype=bool)
    inside[np.argsort(distance.ravel(), kind="stable")[:n_voxels]] = True
    return inside.reshape(GRID)


def report(what, start):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:44}{time.perf_counter() - start:>9.1f}{peak:>10.2f}", flush=True)


if __name__ == "__main__":
    steps = {"write": write, "nilearn": nilearn, "ours": ours}
    if len(sys.argv) > 1 and sys.argv[1] in steps:
        steps[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        main(*map(int, sys.argv[1:]))
