"""Equal samples on both sides of a fold: what is remembered there looks like prediction."""

import hashlib
import warnings
from numbers import Real

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sklearn_sae_encoding._notes import Note, tell

# Rows that differ in no feature by more than this share of its standard deviation are equal: what a language model says
# of a text differs by about a tenth of it from batch to batch. Rounding moves many features; where one alone differs,
# as that of many samples with a single feature does by chance, so little says nothing.
ROUNDING = 1e-5
ROWS_AT_ONCE = 512
COMPARED = 8  # earlier rows, of about the same projection, that a row is held against


def group_repeats(X, groups=None):
    """Label samples so that a group splitter keeps equal ones together.

    Scores are too high where a sample is tested that was also trained on: the same sentence heard in another run, for
    example. Grouping by run does not help, as repeats lie in different runs; it takes groups that hold all repeats of a
    stimulus *and*, where samples of a run share noise, whole runs.

    Parameters
    ----------
    X : list of str, array-like, sparse matrix, DataFrame or token table, of length n_samples
        Texts, or features, of which equal rows are equal samples.

    groups : array-like of shape (n_samples,), default=None
        Labels of samples that must stay together for another reason, such as runs. None is none.

    Returns
    -------
    labels : ndarray of int of shape (n_samples,)
        Samples that are equal, or have the same label in `groups`, or are joined by others that do, have one label.

    Raises
    ------
    ValueError
        If `groups` has another length, or all samples are joined: then no fold is free of repeats, and repeats must be
        averaged (:func:`~sklearn_sae_encoding.betas.average_repeats`).

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import group_repeats
    >>> group_repeats(["A dog.", "A rose.", "A dog.", "A cat."])
    array([0, 1, 0, 2])
    >>> group_repeats(["A dog.", "A rose.", "A dog.", "A cat."], groups=["run 1", "run 1", "run 2", "run 3"])
    array([0, 0, 0, 1])
    """
    keys = sample_keys(X)
    if keys is None:
        raise ValueError(f"Which samples of a {type(X).__name__} are equal is not known. Give texts or features.")
    labels = [_number(keys)]
    if groups is not None:
        if len(groups) != len(keys):
            raise ValueError(f"groups must hold one label a sample, {len(keys)}, got {len(groups)}.")
        labels.append(_number([str(group) for group in np.asarray(groups).tolist()]))
    n = len(keys)
    rows, columns, offset = [], [], n
    for label in labels:  # samples and labels are the nodes of a graph
        rows.append(np.arange(n))
        columns.append(offset + label)
        offset += label.max(initial=-1) + 1
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(offset, offset))
    _, joined = connected_components(graph, directed=False)
    joined = _number(joined[:n].tolist())
    if groups is not None and n > 1 and joined.max() == 0:
        raise ValueError(
            "Repeats join all samples into one group, so that no fold is free of them. Average the repeats first: "
            "betas.average_repeats."
        )
    return joined


def warn_of_leaks(X, splits, *, stacklevel=2):
    """Warn once of samples that are tested though an equal one was trained on."""
    keys = sample_keys(X)
    if keys is None or len(set(keys)) == len(keys):
        return
    labels = _number(keys)
    leaked = _trained_on(labels, splits) & np.array([key is not None for key in keys])
    if not leaked.any():
        return
    first = int(np.flatnonzero(leaked)[0])
    other = next(int(i) for i in np.flatnonzero(labels == labels[first]) if i != first)
    warnings.warn(
        f"{leaked.sum()} of {len(labels)} samples are tested though an equal one is in the training part of the fold, "
        f"such as {first} and {other}: what is remembered looks like prediction, and scores are too high. Average "
        "repeats (betas.average_repeats), or keep them together with a group splitter and "
        "groups=metrics.group_repeats(X); where samples of a run share noise, group_repeats(X, groups=runs).",
        stacklevel=stacklevel + 1,
    )


def note_repeats(X, splits, *, stacklevel=2):
    """Warn of equal rows on both sides of the folds that choose penalties, if a model can remember what each hears.

    It can where there are as many features as different rows, so that each row may have a weight of its own.
    """
    splits = list(splits)
    if not splits:  # no penalty was chosen
        return
    alike = _nearly_equal_rows(X)
    labels = np.arange(X.shape[0])
    keys = sample_keys(X[alike])
    labels[alike] = X.shape[0] + _number(keys)
    leaked = np.zeros(X.shape[0], dtype=bool)
    leaked[alike] = [key is not None for key in keys]
    if not leaked.any() or X.shape[1] < len(np.unique(labels)):
        return
    leaked &= _trained_on(labels, splits)
    if leaked.any():
        said = (
            "samples are held out inside the fit while an equal row of features is trained on: what is remembered "
            "looks like prediction, and penalties come out too small. Average repeats (betas.average_repeats), or keep "
            "them together with cv=GroupKFold() and fit(X, y, groups=metrics.group_repeats(X))."
        )
        tell([Note(int(leaked.sum()), len(leaked), said)], stacklevel=stacklevel + 1)


def _trained_on(labels, splits):
    """Tell which samples are tested in a fold that trains on one of the same label."""
    rows, found = np.arange(len(labels)), np.zeros(len(labels), dtype=bool)
    for train, test in splits:
        tested = rows[test]
        found[tested[np.isin(labels[tested], labels[rows[train]])]] = True
    return found


def _nearly_equal_rows(X):
    """Find rows whose random projection is another's, without a copy of X: those that are equal are among them."""
    with np.errstate(over="ignore", invalid="ignore"):
        projected = np.nan_to_num(X @ np.random.default_rng(0).normal(size=X.shape[1]).astype(X.dtype))
    order = np.argsort(projected, kind="stable")
    tolerance = 1e3 * np.finfo(np.float32).eps * np.abs(projected).max(initial=0.0)
    near = np.flatnonzero(np.diff(projected[order]) <= tolerance)
    return np.unique(np.concatenate([order[near], order[near + 1]]))


def sample_keys(X):
    """Give what is the same for equal samples; None for a sample that says nothing, None at all if it isn't known."""
    if isinstance(getattr(X, "texts", None), (list, tuple)):
        return list(X.texts)
    if sparse.issparse(X):
        X = sparse.csr_array(X, copy=True)
        X.sum_duplicates()
        return _keys_of_rows(X)
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    if isinstance(X, list) and _is_table(X):
        X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub":
        return _keys_of_rows(X)
    if isinstance(X, np.ndarray) and X.ndim > 0:
        return [_key_of_row(row) for row in X]
    if not isinstance(X, (list, tuple)):
        return None
    keys = [_key_of_entry(entry) for entry in X]
    return None if all(key is None for key in keys) else keys


def _key_of_entry(entry):
    """Of a text, of an array, or of a run that has a text."""
    if isinstance(entry, str):
        return entry
    if isinstance(getattr(entry, "text", None), str):
        block = getattr(entry, "block", None)  # parts of a recording share the text, but not what was heard in them
        return entry.text if block is None else (entry.text, block.start, block.stop)
    if sparse.issparse(entry):
        return _digest(*_parts(entry))
    if isinstance(entry, (np.ndarray, list, tuple)):
        return _key_of_row(np.asarray(entry))
    return None


def _key_of_row(row):
    if isinstance(row, str):
        return row
    row = np.asarray(row)
    if row.dtype.kind not in "fiub":
        return "\0".join(str(cell) for cell in row.ravel().tolist())
    return _digest(row.astype(np.float64) + 0.0) if row.any() else None  # no -0; a row of zeros says nothing


def _is_table(rows):
    """Tell a table that is given as lists of numbers."""
    return len(rows) > 0 and all(
        isinstance(row, (list, tuple)) and len(row) == len(rows[0]) and all(isinstance(cell, Real) for cell in row)
        for row in rows
    )


def _keys_of_rows(X):
    """Number the rows of a table, equal ones (to rounding) alike; None for a row of zeros.

    Equal rows have about equal projections on one random direction, so that each is held against its neighbours there.
    """
    parts = [slice(start, start + ROWS_AT_ONCE) for start in range(0, X.shape[0], ROWS_AT_ONCE)]
    with np.errstate(over="ignore", invalid="ignore"):
        means = sum(_floats(X[part]).sum(axis=0) for part in parts) / max(X.shape[0], 1)
        spreads = np.sqrt(sum(((_floats(X[part]) - means) ** 2).sum(axis=0) for part in parts) / max(X.shape[0], 1))
    if not np.isfinite(spreads).all():  # absent values, for a pipeline to fill: equal to the bit
        return [_key_of_row(_floats(X[[row]])[0]) for row in range(X.shape[0])]
    scales = np.where(spreads > 0, spreads, 1.0)
    direction = np.random.default_rng(0).normal(size=X.shape[1])
    projected = np.concatenate([((_floats(X[part]) - means) / scales) @ direction for part in parts] or [[]])
    tells = np.concatenate([_floats(X[part]).any(axis=1) for part in parts] or [[]])
    tolerance = 4 * ROUNDING * np.sqrt(np.sum(direction**2))
    keys, recent = [None] * X.shape[0], []
    for row in np.argsort(projected, kind="stable"):
        if not tells[row]:
            continue
        recent = [other for other in recent if projected[row] - projected[other] <= tolerance][-COMPARED:]
        values = _floats(X[[row]])[0] if recent else None
        alike = [other for other in recent if _equal(np.abs(values - _floats(X[[other]])[0]), ROUNDING * spreads)]
        keys[row] = keys[alike[0]] if alike else int(row)
        if not alike:
            recent.append(row)
    return keys


def _equal(differences, tolerance):
    return np.count_nonzero(differences) != 1 and bool(np.all(differences <= tolerance))


def _floats(rows):
    return (rows.toarray() if sparse.issparse(rows) else np.asarray(rows)).astype(np.float64)


def _parts(entry):
    entry = sparse.csr_array(entry, copy=True)
    entry.sum_duplicates()
    return entry.indptr.astype(np.int64), entry.indices.astype(np.int64), entry.data.astype(np.float64)


def _digest(*arrays):
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _number(keys):
    """Number keys in order of appearance; those that are None are all different."""
    known, numbers = {}, []
    for i, key in enumerate(keys):
        numbers.append(known.setdefault((i, None) if key is None else key, len(known)))
    return np.array(numbers, dtype=np.intp)


def check_no_overlap(splits, n_samples):
    """Raise if a sample is left out more than once, so that it has no one prediction."""
    n_left_out = np.zeros(n_samples, dtype=int)
    for _, test in splits:
        n_left_out[np.unique(np.arange(n_samples)[test])] += 1
    repeated = np.flatnonzero(n_left_out > 1)
    if len(repeated):
        raise ValueError(
            f"return_predictions=True needs folds whose test samples don't overlap, but {len(repeated)} sample(s) are "
            f"left out more than once, such as sample {repeated[0]} ({n_left_out[repeated[0]]} times). Use a splitter "
            "such as KFold, or keep the fold's estimators instead (return_estimators=True)."
        )
