"""The container of rows, for transformers that give a table of rows in one setting and something else in another."""

from __future__ import annotations

from sklearn.base import BaseEstimator, TransformerMixin


class RowsInContainer:
    """Mixin: ``set_output`` for the rows alone.

    scikit-learn would wrap whatever comes out of ``transform``, also what is no table. A class that has this mixin says
    ``auto_wrap_output_keys=None`` and calls :meth:`_contained` where rows come out.
    """

    _container = None  # what set_output asked for

    def set_output(self, *, transform=None):
        """Choose the container of rows. Tokens and words, which are no table of rows, stay what they are.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Container of what ``transform`` gives; None leaves it as it was.

        Returns
        -------
        self
        """
        if transform is not None:
            self._container = transform
        return self

    def _with_container(self, clone):
        """A clone, which gets the container too."""
        clone._container = self._container
        return clone

    def _contained(self, rows, X):
        """Rows in the container that was asked for, named and indexed as scikit-learn does."""
        return _Rows(rows, self.get_feature_names_out()).set_output(transform=self._container).transform(X)


class _Rows(TransformerMixin, BaseEstimator):
    """Gives out rows that are made already, so that scikit-learn puts them in a container."""

    def __init__(self, rows, names):
        self.rows = rows
        self.names = names

    def transform(self, X):
        return self.rows

    def get_feature_names_out(self, input_features=None):
        return self.names
