"""Dictionaries that cost nothing to train: a factorisation of activations, and random directions."""

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data


class SemiNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Write signed rows as non-negative sums of signed components, ``X ≈ W H`` with ``W ≥ 0``.

    ``min ‖X − W H‖²`` by the multiplicative updates of Ding, Li and Jordan (2010), from k-means.

    Parameters
    ----------
    n_components : int, default=10
        Components.
    max_iter : int, default=200
        Updates, in ``fit`` and in ``transform``. More come closer to the optimum.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        ``H``.
    n_iter_ : int
        Updates that were made.
    reconstruction_err_ : float
        ``‖X − W H‖`` of the rows given to ``fit``.

    References
    ----------
    Ding, Li and Jordan (2010), "Convex and semi-nonnegative matrix factorizations", IEEE TPAMI 32.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import SemiNMF
    >>> X = np.random.default_rng(0).normal(size=(50, 6))
    >>> W = SemiNMF(3, random_state=0).fit_transform(X)
    >>> W.shape, bool(W.min() >= 0)
    ((50, 3), True)
    """

    def __init__(self, n_components=10, *, max_iter=200, random_state=None):
        self.n_components = n_components
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, such as activations of tokens.
        y : None
            Ignored.

        Returns
        -------
        self : SemiNMF
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        n_components = min(self.n_components, len(X))
        labels = KMeans(n_components, n_init=1, random_state=self.random_state).fit_predict(X)
        W = np.eye(n_components, dtype=X.dtype)[labels] + X.dtype.type(0.2)
        for _ in range(self.max_iter):
            H = np.linalg.lstsq(W, X, rcond=None)[0]
            W = _updated(W, X @ H.T, H @ H.T)
        self.components_ = np.linalg.lstsq(W, X, rcond=None)[0]
        self._n_features_out, self.n_iter_ = n_components, self.max_iter
        self.reconstruction_err_ = float(np.linalg.norm(X - W @ self.components_))
        return self

    def transform(self, X):
        """Compute the weights of the components in each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            Non-negative.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        H = self.components_
        products, gram = X @ H.T, H @ H.T
        W = np.ones_like(products)
        for _ in range(self.max_iter):
            W = _updated(W, products, gram)
        return W


def _updated(W, products, gram):
    """One update of W, which lowers the error: `products` are ``X H'``, `gram` is ``H H'``."""
    positive, negative = np.maximum(gram, 0), np.maximum(-gram, 0)
    above = np.maximum(products, 0) + W @ negative
    below = np.maximum(-products, 0) + W @ positive
    return W * np.sqrt(above / np.maximum(below, np.finfo(W.dtype).tiny))


class RandomDictionary(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Directions that mean nothing, each active on its own share of the rows: a control for SAEs.

    ``max(x · d_j − b_j, 0)`` with random unit vectors ``d_j`` and thresholds ``b_j`` that let `density` of the rows
    given to ``fit`` pass.

    Parameters
    ----------
    n_features : int, default=100
        Directions.
    density : float or array-like of shape (n_features,), default=0.05
        Share of rows on which a feature is active, such as those of the SAE that this is the control of.
    random_state : int, RandomState instance or None, default=None
        Seed of the directions.

    Attributes
    ----------
    directions_ : ndarray of shape (n_features_in, n_features)
        Unit vectors.
    thresholds_ : ndarray of shape (n_features,)
        What a projection must exceed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import RandomDictionary
    >>> X = np.random.default_rng(0).normal(size=(1000, 6))
    >>> features = RandomDictionary(3, density=[0.5, 0.1, 0.01], random_state=0).fit_transform(X)
    >>> (features > 0).mean(axis=0).round(2).tolist()
    [0.5, 0.1, 0.01]
    """

    def __init__(self, n_features=100, *, density=0.05, random_state=None):
        self.n_features = n_features
        self.density = density
        self.random_state = random_state

    def fit(self, X, y=None):
        """Draw directions, and find the thresholds.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_in)
            Rows, such as activations of tokens.
        y : None
            Ignored.

        Returns
        -------
        self : RandomDictionary
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        density = np.broadcast_to(np.asarray(self.density, dtype=float), (self.n_features,))
        wrong = ~((density > 0) & (density <= 1))
        if wrong.any():
            raise ValueError(f"density must be shares above 0 and at most 1, got {density[wrong][0]}.")
        directions = check_random_state(self.random_state).normal(size=(X.shape[1], self.n_features))
        self.directions_ = (directions / np.linalg.norm(directions, axis=0)).astype(X.dtype)
        projections = np.sort(X @ self.directions_, axis=0)
        passing = np.clip(np.round(density * len(X)).astype(int), 1, len(X))
        below = projections[np.maximum(len(X) - passing - 1, 0), np.arange(self.n_features)]
        self.thresholds_ = np.where(passing < len(X), below, projections[0] - 1).astype(X.dtype)
        self._n_features_out = self.n_features
        return self

    def transform(self, X):
        """Compute the features of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_in)
            Rows.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features)
            Non-negative.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return np.maximum(X @ self.directions_ - self.thresholds_, 0)
