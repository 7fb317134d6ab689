"""What do the voxels of a population respond to, and which voxels does nothing explain yet?"""

import numpy as np
import pandas as pd

from sklearn_sae_encoding._fitted.tables import with_labels
from sklearn_sae_encoding._tokens.arrays import column_of, values_of
from sklearn_sae_encoding.analysis.features import count_feature_use, signed_use, top_texts
from sklearn_sae_encoding.analysis.stability import FeatureStability
from sklearn_sae_encoding.tokens import TokenTable


def describe_population(fitted, mask, features=None, *, X=None, texts=None, participants=None, labels=None, n_texts=3):
    """List the features that a population of voxels uses, against the other voxels.

    Parameters
    ----------
    fitted : estimator, FittedView, {ndarray, sparse array} of shape (n_voxels, n_features) or FeatureStability
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``. What :func:`stability_selection`
        gives makes shares mean frequencies.

    mask : array-like of bool of shape (n_voxels,)
        The population.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names, for weights or a model that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    X : {ndarray, sparse array} of shape (n_texts, n_features), default=None
        Features of the texts; with `texts`, adds the column `top_texts`.

    texts : sequence of str, default=None
        The texts, in the order of the rows of `X`.

    participants : array-like of shape (n_voxels,), default=None
        Adds the column `n_participants`, in whom any voxel uses it (of a stability: in half of the halves or more).

    labels : Series or dict of int or str to str, default=None
        What features mean, by the SAE's own index, such as :func:`~sklearn_sae_encoding.analysis.read_feature_labels`
        gives, or by name; for the column `label`, which is empty where a feature has none.

    n_texts : int, default=3
        How many texts to give for a feature.

    Returns
    -------
    table : pandas.DataFrame
        A row a signed feature, the most used first: `feature`, `index`, `sign` (+1: the voxels respond more to texts
        in which it is active), `n_voxels` (of a stability the mean number in a half of the samples) and `share` (of the
        population's voxels), `share_elsewhere` (of the other
        voxels, NaN if there is none), `difference` of the shares; then what was asked for. `top_texts` (list of str)
        drive the feature most: with a sign of -1 they are texts to which the voxels respond little.

    Raises
    ------
    ValueError
        If lengths differ, or the population has no voxel.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import describe_population
    >>> coef = [[0.5, 0.0], [0.1, -0.2], [0.0, -2.0]]
    >>> describe_population(coef, [True, True, False], ["people", "places"])
      feature  index  sign  n_voxels  share  share_elsewhere  difference
    0  people      0     1         2    1.0              0.0         1.0
    1  places      1    -1         1    0.5              1.0        -0.5
    """
    *use, known = signed_use(fitted, features)
    mask = _check_mask(mask, use[0].shape[0])
    stable = isinstance(fitted, FeatureStability)
    weights = fitted if stable else use[0] - use[1]
    table, others = (
        count_feature_use(weights.of_voxels(rows) if stable else weights[rows], known) for rows in (mask, ~mask)
    )
    others = others.set_index(["index", "sign"])["share"]
    signed = pd.MultiIndex.from_frame(table[["index", "sign"]])
    table["share_elsewhere"] = others.reindex(signed, fill_value=0.0).to_numpy() if not mask.all() else np.nan
    table["difference"] = table["share"] - table["share_elsewhere"]
    if participants is not None:
        participants = _check_labels(participants, mask)
        signed = {sign: one[mask] >= 0.5 for sign, one in zip((1, -1), use, strict=True)}
        table["n_participants"] = [
            len(np.unique(participants[signed[sign][:, [index]].toarray().ravel()]))
            for index, sign in zip(table["index"], table["sign"], strict=True)
        ]
    if labels is not None:
        table["label"] = with_labels(known, labels)["label"].to_numpy()[table["index"]]
    if texts is not None:
        table["top_texts"] = [top_texts(X, texts, index, n_texts=n_texts)["text"].tolist() for index in table["index"]]
    return table


def top_tokens(table, feature, *, n_tokens=10, context=5):
    """Find the tokens on which a feature is most active.

    Parameters
    ----------
    table : TokenTable
        Features of every token, as ``SAEProjector(level="token")`` gives them for the tokens of
        :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`; or of every word.

    feature : int or str
        Column of the features, or its name, such as ``"sae_00123"``.

    n_tokens : int, default=10
        How many tokens to give at most. Tokens on which the feature is zero are never given.

    context : int, default=5
        How many tokens before it to give with a token.

    Returns
    -------
    frame : pandas.DataFrame
        Columns `token` and `before` (the token, and the text before it), `text` and `position` (numbers), and
        `activation`, the largest first; ties in the order of the texts.

    Raises
    ------
    ValueError
        If the table has no texts, or no such column.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import top_tokens
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> offsets = [[(0, 1), (2, 5)], [(0, 4), (5, 9), (9, 10)]]
    >>> table = TokenTable.from_arrays([[[0.0], [2.0]], [[3.0], [0.0], [1.0]]], ["A dog", "Dogs bark."], offsets)
    >>> top_tokens(table, 0, n_tokens=2)
      token before  text  position  activation
    0  Dogs            1         0         3.0
    1   dog     A      0         1         2.0
    """
    if not isinstance(table, TokenTable) or table.texts is None or table.offsets is None:
        raise ValueError(
            "Expected a TokenTable with texts: features of tokens as SAEProjector(level='token') gives them, or "
            f"TokenTable.from_arrays(values, texts, offsets), got {type(table).__name__}."
        )
    column, rows = column_of(table, feature), []
    for i, value in enumerate(table):
        values = values_of(value, column)
        rows += [(i, int(t), float(values[t])) for t in np.flatnonzero(values)]
    rows = sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:n_tokens]
    return pd.DataFrame(
        [(*_in_text(table, i, t, context), i, t, a) for i, t, a in rows],
        columns=["token", "before", "text", "position", "activation"],
    )


def _in_text(table, text, token, context):
    """Write a token, and the text of those before it, as they stand in the text."""
    offsets, written = table.offsets[text], table.texts[text]
    start, end = offsets[token].tolist()
    return written[start:end], written[offsets[max(token - context, 0), 0] : start]


def find_unexplained_voxels(component_r, ncsnr, *, min_ncsnr=0.4, max_correlation=0.1, component_r2=None, max_r2=0.0):
    """Find reliable voxels that given components of the stimuli don't explain: the next population to look at.

    A voxel is unexplained if ``ncsnr > min_ncsnr`` and ``|r| < max_correlation`` for each component (the "ghost" rule).

    Parameters
    ----------
    component_r : array-like of shape (n_components, n_voxels)
        Correlation of each voxel with each component over the texts: from metadata, such as
        ``data.voxels[["corr_SentPC1", "corr_SentPC2"]].T``, or from data, ``correlate_predictors(components, Y)``.

    ncsnr : array-like of shape (n_voxels,)
        Signal-to-noise ratios, from metadata or :func:`~sklearn_sae_encoding.metrics.ncsnr_from_repeats`.

    min_ncsnr, max_correlation : float, default=0.4, 0.1
        Both are exclusive. Over 200 texts, 84% of correlations with something unrelated are smaller than 0.1.

    component_r2 : array-like of shape (n_voxels,), default=None
        Cross-validated R² of the components together, for a stricter rule that also sees what each component alone does
        not show: ``cross_val_voxel_scores(LinearRegression(), components, Y, metric="r2").scores``.

    max_r2 : float, default=0.0
        Largest cross-validated R² of an unexplained voxel, if `component_r2` is given.

    Returns
    -------
    mask : ndarray of bool of shape (n_voxels,)
        Voxels with a NaN in any of the inputs are not in it.

    Raises
    ------
    ValueError
        If the numbers of voxels differ.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, study 2.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import find_unexplained_voxels
    >>> find_unexplained_voxels([[0.05, 0.3, 0.0], [-0.02, 0.0, 0.01]], ncsnr=[0.5, 0.6, 0.2])
    array([ True, False, False])
    """
    r, ncsnr = np.atleast_2d(np.asarray(component_r, dtype=np.float64)), np.asarray(ncsnr, dtype=np.float64)
    if r.ndim != 2 or ncsnr.shape != r.shape[1:]:
        raise ValueError(
            f"component_r must be (n_components, n_voxels) and ncsnr (n_voxels,), got shapes {r.shape} and "
            f"{ncsnr.shape}."
        )
    mask = (ncsnr > min_ncsnr) & np.all(np.abs(r) < max_correlation, axis=0)  # False for NaN
    if component_r2 is None:
        return mask
    component_r2 = np.asarray(component_r2, dtype=np.float64)
    if component_r2.shape != ncsnr.shape:
        raise ValueError(f"component_r2 must be one number a voxel, {ncsnr.shape}, got shape {component_r2.shape}.")
    return mask & (component_r2 <= max_r2)


def _check_mask(mask, n_voxels):
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (n_voxels,):
        raise ValueError(f"mask must be one bool a voxel, ({n_voxels},), got {mask.dtype} of shape {mask.shape}.")
    if not mask.any():
        raise ValueError("The population has no voxel: mask is False everywhere.")
    return mask


def _check_labels(participants, mask):
    participants = np.asarray(participants)
    if participants.shape != mask.shape:
        raise ValueError(f"participants must be one label a voxel, {mask.shape}, got shape {participants.shape}.")
    return participants[mask]
