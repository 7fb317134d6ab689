"""Responses that keep their autocorrelation and have nothing to do with the story."""

import numpy as np
from sklearn.utils import check_random_state

SURROGATES = ("phase", "shift", "block", "scan")


def surrogate_responses(responses, method="phase", *, block=None, random_state=None):
    """Make responses under the null hypothesis, run by run, that are as slow as the measured ones.

    Responses to a story are autocorrelated. Two slow series that have nothing in common correlate by chance far more
    than two fast ones, so that scans that are shuffled one by one make a null distribution that is too narrow, and
    noise significant.

    Parameters
    ----------
    responses : list of array-like of shape (n_scans_i, n_voxels) or (n_scans_i,)
        One array a run, without trends.

    method : {"phase", "shift", "block", "scan"}, default="phase"
        ``"phase"`` draws the phases of each run's Fourier components anew, the same for all voxels, which keeps every
        voxel's spectrum and the correlations between voxels. ``"shift"`` moves each run round in a circle by a random
        number of scans. ``"block"`` cuts each run into blocks and puts them in random order. ``"scan"`` shuffles single
        scans, and is here to show that it doesn't hold its level.

    block : int, default=None
        With ``"block"``: scans in a block, longer than the autocorrelation. None is a tenth of the run, at least 5.
        With ``"shift"``: the smallest shift, either way. None is a tenth of the run.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    surrogates : list of ndarray of the shapes of `responses`

    Raises
    ------
    ValueError
        If the method is unknown or a run is too short for it.

    References
    ----------
    Theiler et al. (1992), "Testing for nonlinearity in time series: the method of surrogate data", for phases.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.metrics import surrogate_responses
    >>> run = np.cumsum(np.random.default_rng(0).normal(size=(100, 2)), axis=0)
    >>> (surrogate,) = surrogate_responses([run], random_state=0)
    >>> np.allclose(np.abs(np.fft.rfft(surrogate, axis=0)), np.abs(np.fft.rfft(run, axis=0)))
    True
    """
    if method not in SURROGATES:
        raise ValueError(f"method must be one of {SURROGATES}, got {method!r}.")
    rng = check_random_state(random_state)
    return [_surrogate(np.asarray(run), i, method, block, rng) for i, run in enumerate(responses)]


def _surrogate(run, i, method, block, rng):
    n_scans = len(run)
    if n_scans < 4 or (block is not None and not 1 <= block <= n_scans // 2):
        raise ValueError(f"Run {i} has {n_scans} scans, too few for method={method!r} with block={block}.")
    if method == "scan":
        return run[rng.permutation(n_scans)]
    if method == "shift":
        least = max(1, n_scans // 10) if block is None else block
        return np.roll(run, rng.randint(least, n_scans - least + 1), axis=0)
    if method == "block":
        size = max(5, n_scans // 10) if block is None else block
        start = rng.randint(size)  # blocks begin anywhere, the run being a circle
        parts = np.array_split(np.roll(run, start, axis=0), max(2, round(n_scans / size)))
        return np.concatenate([parts[part] for part in rng.permutation(len(parts))])
    return _random_phases(run, rng)


def _random_phases(run, rng):
    spectrum = np.fft.rfft(run, axis=0)
    phases = rng.uniform(0, 2 * np.pi, size=len(spectrum))
    phases[0] = 0.0  # the mean stays
    if len(run) % 2 == 0:
        phases[-1] = np.pi * rng.randint(2)  # the highest frequency has a sign only
    turned = spectrum * np.exp(1j * phases).reshape(-1, *[1] * (run.ndim - 1))
    return np.fft.irfft(turned, n=len(run), axis=0)
