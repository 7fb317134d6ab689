"""Features at scans to simulated responses whose lag, band and features are known."""

import numpy as np
from scipy import sparse
from scipy.signal import lfilter
from sklearn.utils import Bunch, check_random_state

from sklearn_sae_encoding.timing import words_to_scans

_BURN_IN = 100  # scans before the first, so that noise doesn't begin at zero


def make_story_responses(
    features,
    *,
    n_voxels=20,
    n_informative=3,
    bands=None,
    lags=(2, 3),
    hrf=None,
    t_r=2.0,
    noise_ceiling=0.6,
    autocorrelation=0.5,
    random_state=None,
):
    """Simulate responses to stories, with known features, lags and noise that follows itself.

    Each voxel follows a few features of one band, all at one lag (or through a haemodynamic response), in all runs
    alike. To the signal comes noise that is correlated from scan to scan.

    Parameters
    ----------
    features : list of {array-like, sparse array} of shape (n_scans_i, n_features)
        Features at scans, one array a run, such as those of :class:`~sklearn_sae_encoding.timing.WordsToScans`.

    n_voxels : int, default=20
        Number of voxels.

    n_informative : int, default=3
        Features that drive a voxel.

    bands : dict of str to slice or array of int, default=None
        Bands, of which each voxel follows one, in turn. None is one band of all.

    lags : sequence of int, default=(2, 3)
        Scans by which responses are late; voxels take them in turn.

    hrf : {"spm", "glover"}, default=None
        Convolve with this response instead of shifting by a lag.

    t_r : float, default=2.0
        Repetition time in seconds, for `hrf`.

    noise_ceiling : float or array-like of shape (n_voxels,), default=0.6
        Correlation of the signal with the response, in expectation. 0 is noise alone.

    autocorrelation : float, default=0.5
        Correlation of the noise in a scan with that in the next, at least 0 and below 1.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        - ``responses``: list of arrays of shape `(n_scans_i, n_voxels)`;
        - ``signal``: the same without noise;
        - ``weights``: csr_array of shape `(n_voxels, n_features)`, of the features at their lag;
        - ``lags``: array of shape `(n_voxels,)`, -1 with `hrf`;
        - ``bands``: list of n_voxels names;
        - ``noise_ceiling``: array of shape `(n_voxels,)`.

    Raises
    ------
    ValueError
        If a band has fewer features that vary than ``n_informative``, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.datasets import make_story_responses
    >>> rng = np.random.default_rng(0)
    >>> data = make_story_responses([rng.normal(size=(100, 8)) for _ in range(3)], n_voxels=4, random_state=0)
    >>> [run.shape for run in data.responses], data.lags
    ([(100, 4), (100, 4), (100, 4)], array([2, 3, 2, 3]))
    """
    features = [run.toarray() if sparse.issparse(run) else np.asarray(run, dtype=np.float64) for run in features]
    rng = check_random_state(random_state)
    ceiling = np.broadcast_to(np.asarray(noise_ceiling, dtype=np.float64), (n_voxels,))
    if np.any((ceiling < 0) | (ceiling > 1)) or not 0 <= autocorrelation < 1:
        raise ValueError("noise_ceiling must lie in [0, 1] and autocorrelation in [0, 1).")
    every = np.concatenate(features)
    scale = every.std(axis=0)
    bands = {"features": slice(None)} if bands is None else bands
    names = [list(bands)[voxel % len(bands)] for voxel in range(n_voxels)]
    weights = _draw_weights(names, bands, scale, n_informative, rng)
    lags = np.array([-1 if hrf else lags[voxel % len(lags)] for voxel in range(n_voxels)])
    late = [_late(run @ weights.T, lags, hrf, t_r) for run in features]
    sd = np.concatenate(late).std(axis=0)
    weights = weights / np.where(sd > 0, sd, 1.0)[:, None] * (ceiling > 0)[:, None]
    signal = [_late(run @ weights.T, lags, hrf, t_r) for run in features]
    with np.errstate(divide="ignore"):
        noise_sd = np.where(ceiling > 0, np.sqrt(1 / np.maximum(ceiling, 1e-12) ** 2 - 1), 1.0)
    responses = [run + noise_sd * _slow_noise(run.shape, autocorrelation, rng) for run in signal]
    return Bunch(
        responses=responses,
        signal=signal,
        weights=sparse.csr_array(weights),
        lags=lags,
        bands=names,
        noise_ceiling=np.array(ceiling),
    )


def _draw_weights(names, bands, scale, n_informative, rng):
    weights = np.zeros((len(names), len(scale)))
    for voxel, name in enumerate(names):
        columns = np.arange(len(scale))[bands[name]]
        columns = columns[scale[columns] > 0]
        if len(columns) < n_informative:
            raise ValueError(
                f"n_informative={n_informative}, but only {len(columns)} features of the band {name!r} vary over scans."
            )
        chosen = rng.choice(columns, size=n_informative, replace=False)
        weights[voxel, chosen] = rng.uniform(0.5, 1.0, size=n_informative) * rng.choice([-1, 1], size=n_informative)
        weights[voxel, chosen] /= scale[chosen]
    return weights


def _late(values, lags, hrf, t_r):
    """Shift the signal of each voxel by its lag, or convolve it; what comes in from before the run is zero."""
    n_scans = len(values)
    if hrf:
        return words_to_scans(
            values, np.arange(n_scans) * t_r, n_scans, t_r=t_r, method="hrf", hrf_model=hrf, scan_time="start"
        )
    moved = np.zeros_like(values)
    for voxel, lag in enumerate(lags):
        moved[lag:, voxel] = values[: n_scans - lag, voxel]
    return moved


def _slow_noise(shape, autocorrelation, rng):
    noise = rng.standard_normal((shape[0] + _BURN_IN, shape[1]))
    return lfilter([np.sqrt(1 - autocorrelation**2)], [1, -autocorrelation], noise, axis=0)[_BURN_IN:]
