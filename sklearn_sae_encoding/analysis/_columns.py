"""Lists of columns to masks over them."""

import numpy as np


def column_mask(columns, n_columns, name):
    """Mask over the columns of X; `columns` may be None, and count from the end."""
    columns = np.asarray([] if columns is None else columns, dtype=np.intp)
    if columns.ndim != 1 or np.any((columns < -n_columns) | (columns >= n_columns)):
        raise ValueError(f"{name} must list columns of X, which has {n_columns}; got {columns.tolist()}.")
    mask = np.zeros(n_columns, dtype=bool)
    mask[columns] = True
    return mask
