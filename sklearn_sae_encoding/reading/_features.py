"""Features of words, and how many of them become a few predictors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted

from sklearn_sae_encoding.reading._rows import checked_levels, positions_of


class WordFeatures:
    """A row of features a word, which reading times find by the word's name.

    Parameters
    ----------
    values : array or sparse matrix of shape (n_words, n_features)
        Such as SAE features pooled by word, or dense hidden states.

    words : sequence of length n_words
        Names of the words, as in the column ``item`` of the reading times; each once.

    texts : sequence of length n_words, default=None
        The text of each word; needed to shuffle features within texts.

    names : sequence of length n_features, default=None
        Names of the features; None numbers them.

    Raises
    ------
    ValueError
        If lengths differ, a word comes twice, or values are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.reading import WordFeatures
    >>> features = WordFeatures(np.eye(3), ["w1", "w2", "w3"], texts=["a", "a", "b"])
    >>> features.rows_of(["w3", "w3", "w1"]).argmax(axis=1).tolist()
    [2, 2, 0]
    """

    def __init__(self, values, words, *, texts=None, names=None):
        self.values = check_array(values, accept_sparse="csr", dtype=[np.float64, np.float32])
        self.words = pd.Index(words)
        self.texts = None if texts is None else np.asarray(texts)
        self.names = np.asarray([f"feature_{i}" for i in range(self.values.shape[1])] if names is None else names)
        for what, given, expected in (
            ("words", len(self.words), self.values.shape[0]),
            ("texts", expected_or(self.texts, self.values.shape[0]), self.values.shape[0]),
            ("names", len(self.names), self.values.shape[1]),
        ):
            if given != expected:
                raise ValueError(f"values has shape {self.values.shape}, but there are {given} {what}.")
        if not self.words.is_unique:
            twice = self.words[self.words.duplicated()]
            raise ValueError(f"Each word needs a name of its own, but {len(twice)} repeat, first {twice[0]!r}.")

    def __repr__(self):
        return f"WordFeatures({self.values.shape[0]} words, {self.values.shape[1]} features)"

    def positions(self, words):
        """Row of each word; a word without features is named in a ``ValueError``."""
        return positions_of(words, self.words, "word", "the features")

    def rows_of(self, words):
        """Features of the words, in their order: an array or CSR matrix (len(words), n_features)."""
        return self.values[self.positions(words)]

    def shuffled(self, random_state=None):
        """The same features with the words of each text exchanged: what is left is what texts differ in."""
        if self.texts is None:
            raise ValueError("Features are shuffled within texts: give WordFeatures(..., texts=) a text for each word.")
        rng = check_random_state(random_state)
        order = np.arange(len(self.words))
        for text in pd.unique(self.texts):
            places = np.flatnonzero(self.texts == text)
            order[places] = rng.permutation(places)
        return WordFeatures(self.values[order], self.words, texts=self.texts, names=self.names)

    def random(self, random_state=None):
        """As many features, each with its own values given to random words of any text."""
        rng = check_random_state(random_state)
        values = self.values.copy()
        if sparse.issparse(values):
            values = values.tocsc()
            for column in range(values.shape[1]):
                span = slice(values.indptr[column], values.indptr[column + 1])
                values.indices[span] = np.sort(rng.choice(values.shape[0], span.stop - span.start, replace=False))
            values = values.tocsr()
        else:
            values = np.take_along_axis(values, rng.random_sample(values.shape).argsort(axis=0), axis=0)
        return WordFeatures(values, self.words, texts=self.texts, names=self.names)


def expected_or(values, default):
    """Length of the values, or the default where there are none."""
    return default if values is None else len(values)


class FeatureComponents(TransformerMixin, BaseEstimator):
    """Principal components of standardised features, each of variance one over the words it was learned on.

    Parameters
    ----------
    n_components : int, default=20
        How many; no more than words or features that vary.

    random_state : int, default=0
        Of the sparse eigensolver's start.

    Attributes
    ----------
    explained_variance_ratio_ : array of shape (n_components,)
        Share of the standardised features' variance.
    """

    def __init__(self, n_components=20, *, random_state=0):
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn the components from words' features (n_words, n_features)."""
        X = check_array(X, accept_sparse="csr", dtype=np.float64)
        limit = min(X.shape) - (1 if sparse.issparse(X) else 0)
        if not 1 <= self.n_components <= limit:
            raise ValueError(
                f"n_components must be from 1 to {limit} for features of shape {X.shape}, got {self.n_components}."
            )
        self.scaler_ = StandardScaler(with_mean=False).fit(X)
        solver = "arpack" if sparse.issparse(X) else "full"
        pca = PCA(self.n_components, whiten=True, svd_solver=solver, random_state=self.random_state)
        self.pca_ = pca.fit(self.scaler_.transform(X))
        self.explained_variance_ratio_ = self.pca_.explained_variance_ratio_
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        """Components of words' features, (n_words, n_components)."""
        check_is_fitted(self)
        return self.pca_.transform(self.scaler_.transform(check_array(X, accept_sparse="csr", dtype=np.float64)))

    def get_feature_names_out(self, input_features=None):
        """``component_1`` and so on."""
        return np.array([f"component_{i}" for i in range(1, self.n_components + 1)], dtype=object)


class CategorySums(TransformerMixin, BaseEstimator):
    """Sums of features by category, in units of their standard deviation over words.

    Parameters
    ----------
    categories : sequence or Series of length n_features
        The category of each feature; missing ones (None, NaN) are left out.
    """

    def __init__(self, categories):
        self.categories = categories

    def fit(self, X, y=None):
        """Learn the scale of the sums."""
        X = check_array(X, accept_sparse="csr", dtype=np.float64)
        codes, self.names_ = pd.factorize(pd.Series(np.asarray(self.categories, dtype=object)), sort=True)
        if len(codes) != X.shape[1]:
            raise ValueError(f"categories has {len(codes)} entries, but there are {X.shape[1]} features.")
        if not len(self.names_):
            raise ValueError("No feature has a category.")
        kept = np.flatnonzero(codes >= 0)
        shape = (X.shape[1], len(self.names_))
        self.members_ = sparse.csr_array((np.ones(len(kept)), (kept, codes[kept])), shape=shape)
        spread = self._sums(X).std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        self.n_features_in_ = X.shape[1]
        return self

    def _sums(self, X):
        sums = X @ self.members_
        return sums.toarray() if sparse.issparse(sums) else np.asarray(sums)

    def transform(self, X):
        """Sums by category, (n_words, n_categories)."""
        check_is_fitted(self)
        return self._sums(check_array(X, accept_sparse="csr", dtype=np.float64)) / self.scale_

    def get_feature_names_out(self, input_features=None):
        """The categories, sorted."""
        return np.asarray(self.names_, dtype=object)


class ChosenFeatures(TransformerMixin, BaseEstimator):
    """Features that a sparse encoder chooses for the words' times, standardised.

    The encoder predicts the words' times - one target a participant or measure, see ``feature_targets`` of
    :class:`ReadingTimeModel` - and the features of largest summed absolute effect (weight times standard deviation)
    are kept.

    Parameters
    ----------
    n_features : int, default=20
        At most this many; fewer where the encoder selects fewer.

    encoder : SparseVoxelEncoder, default=None
        None is ``SparseVoxelEncoder()``.

    Attributes
    ----------
    chosen_ : array of int
        Positions of the features, the strongest first.
    """

    def __init__(self, n_features=20, *, encoder=None):
        self.n_features = n_features
        self.encoder = encoder

    def fit(self, X, y):
        """Choose from features (n_words, n_features) for times (n_words, n_targets)."""
        from sklearn_sae_encoding.encoder import SparseVoxelEncoder

        X = check_array(X, accept_sparse="csr", dtype=np.float64)
        y = np.asarray(y, dtype=float).reshape(len(y), -1)
        self.encoder_ = clone(SparseVoxelEncoder() if self.encoder is None else self.encoder).fit(X, y)
        self.scale_ = np.sqrt(StandardScaler(with_mean=False).fit(X).var_)
        effects = np.asarray(abs(sparse.csr_array(self.encoder_.coef_)).sum(axis=0)).ravel() * self.scale_
        order = np.argsort(-effects, kind="stable")[: self.n_features]
        self.chosen_ = order[effects[order] > 0]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        """The chosen features over their standard deviation, (n_words, n_chosen)."""
        check_is_fitted(self)
        X = check_array(X, accept_sparse="csr", dtype=np.float64)[:, self.chosen_]
        return (X.toarray() if sparse.issparse(X) else X) / self.scale_[self.chosen_]

    def get_feature_names_out(self, input_features=None):
        """``feature_`` and the position of each."""
        names = [f"feature_{i}" for i in self.chosen_] if input_features is None else input_features[self.chosen_]
        return np.asarray(names, dtype=object)


def word_targets(table, response, targets, participant, words):
    """Mean times of words, one column a target: each reader's own mean is taken off; a word not read counts as zero.

    ``targets`` is None for the response itself, a list of columns (measures, in logarithms), or the name of the
    column whose levels are targets, such as participants.
    """
    if isinstance(targets, str):
        levels, names = pd.factorize(checked_levels(table, targets), sort=True)
        centred = response - pd.Series(response).groupby(levels).transform("mean").to_numpy()
        return _word_means(centred, words, levels, len(names))
    columns = [response] if targets is None else [np.log(table[name].to_numpy(dtype=float)) for name in targets]
    means = []
    for name, values in zip(targets or ["the response"], columns, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(f"feature_targets: the logarithm of {name!r} is not finite in every row.")
        centred = values - pd.Series(values).groupby(table[participant].to_numpy()).transform("mean").to_numpy()
        means.append(_word_means(centred, words, np.zeros(len(words), dtype=int), 1))
    return np.hstack(means)


def _word_means(values, words, levels, n_levels):
    n_words = words.max() + 1
    sums, counts = np.zeros((n_words, n_levels)), np.zeros((n_words, n_levels))
    np.add.at(sums, (words, levels), values)
    np.add.at(counts, (words, levels), 1.0)
    return sums / np.maximum(counts, 1.0)
