"""Sparse rows of chunks to one array, or to one a text.

Small arrays that live on come to lie in what the large ones of encoding leave free, which then have no room there in
the next chunk, and the process grows by a dense chunk each time: 85 MB of features took 4 GB. So rows are copied to the
end of two long arrays.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

# Arrays of at least so many numbers are moved by the system as a whole, without a copy, when they become longer.
_LEAST = 1 << 20
_GROWTH = 1.25


class _Growing:
    """Numbers of one array that becomes longer."""

    def __init__(self):
        self._values, self._size = None, 0

    def extend(self, values: np.ndarray) -> None:
        end = self._size + len(values)
        if self._values is None:
            self._values = np.zeros(_LEAST, dtype=values.dtype)
        if end > len(self._values):
            self._values.resize(int(_GROWTH * end), refcheck=False)
        self._values[self._size : end] = values
        self._size = end

    def all(self) -> np.ndarray:
        self._values.resize(self._size, refcheck=False)
        return self._values


class GrowingRows:
    """Rows of one sparse array that come by and by; at last there are as many as were announced."""

    def __init__(self, n_rows: int):
        self.n_rows = 0
        self._ends = np.zeros(n_rows + 1, dtype=np.int64)
        self._data, self._indices, self._width = _Growing(), _Growing(), 0

    def append(self, rows: sparse.csr_array) -> None:
        end = self.n_rows + rows.shape[0]
        self._data.extend(rows.data)
        self._indices.extend(rows.indices)
        self._ends[self.n_rows + 1 : end + 1] = self._ends[self.n_rows] + rows.indptr[1:]
        self.n_rows, self._width = end, rows.shape[1]

    def together(self) -> sparse.csr_array:
        """Return all rows."""
        return self.cut(np.array([self.n_rows]))[0]

    def cut(self, lengths: np.ndarray) -> list[sparse.csr_array]:
        """Return so many rows each, as views of the long arrays."""
        data, indices, stops = self._data.all(), self._indices.all(), np.cumsum(lengths)
        cut = []
        for start, stop in zip(stops - lengths, stops, strict=True):
            first, last = self._ends[[start, stop]]
            # Most of scikit-learn takes no other indices than of 32 bits; SciPy widens the others to fit.
            dtype = np.int32 if last - first <= np.iinfo(np.int32).max else np.int64
            arrays = data[first:last], indices[first:last], (self._ends[start : stop + 1] - first).astype(dtype)
            cut.append(sparse.csr_array(arrays, shape=(stop - start, self._width)))
        return cut
