"""Voxel scores of several models to one tidy table."""

from collections.abc import Mapping

import numpy as np


def voxel_score_table(results, voxels=None, *, columns=("participant", "region")):
    """Lay out the scores of several models, one row a voxel and model.

    Parameters
    ----------
    results : dict of str to VoxelScores
        What :func:`cross_val_voxel_scores` returns for a dictionary of models.

    voxels : DataFrame of n_voxels rows, default=None
        What is known of each voxel, in the order of the columns of ``Y``, such as ``fetch_lepori2026().voxels``.

    columns : sequence of str, default=("participant", "region")
        Columns of ``voxels`` to take over.

    Returns
    -------
    table : DataFrame
        With those columns, ``voxel`` (the column of ``Y``), ``model``, ``score`` and ``normalized_score`` (NaN where
        no noise ceilings were given). Models in the order of ``results``, voxels in order within each.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxel_score_table
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> results = cross_val_voxel_scores({"ridge": Ridge(alpha=1e-9), "mean": DummyRegressor()}, X, X)
    >>> voxels = pd.DataFrame({"participant": ["p1", "p2"], "region": ["IFG", "MFG"]})
    >>> voxel_score_table(results, voxels)[["participant", "voxel", "model", "score"]].round(3)
      participant  voxel  model  score
    0          p1      0  ridge    1.0
    1          p2      1  ridge    1.0
    2          p1      0   mean    0.0
    3          p2      1   mean    0.0
    """
    import pandas as pd  # here: no other score needs it

    if not isinstance(results, Mapping) or not results:
        raise ValueError(
            "results must be a dictionary of the models' voxel scores. Give cross_val_voxel_scores a dictionary of "
            "models to get one."
        )
    n_voxels = {name: len(result.scores) for name, result in results.items()}
    if len(set(n_voxels.values())) > 1 or (voxels is not None and set(n_voxels.values()) != {len(voxels)}):
        of_table = "" if voxels is None else f" and a table of {len(voxels)} voxels"
        raise ValueError(f"All models must be scored on the same voxels, got numbers of voxels {n_voxels}{of_table}.")
    if voxels is not None and (missing := [column for column in columns if column not in voxels]):
        raise ValueError(f"The table of voxels has no column {missing}; it has {list(voxels.columns)}.")
    known = {} if voxels is None else {column: voxels[column].to_numpy() for column in columns}
    parts = []
    for name, result in results.items():
        n = n_voxels[name]
        normalized = np.full(n, np.nan) if result.normalized_scores is None else result.normalized_scores
        part = known | {"voxel": np.arange(n), "model": name, "score": result.scores, "normalized_score": normalized}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
