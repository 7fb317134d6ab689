"""Branches of features of texts, side by side, of one language model."""

import warnings

from sklearn.pipeline import FeatureUnion

from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding.language_model import NO_RESULT, as_language_model


class TextFeatureUnion(FeatureUnion):
    """A FeatureUnion over texts, whose branches should hold one language model, or equal ones.

    It is scikit-learn's, but for a warning in ``fit`` where the LanguageModels of two branches differ. A clone of a
    union holds a LanguageModel for each branch, and a parameter that was set in one of them alone makes every text run
    twice, and differently.

    Parameters
    ----------
    transformer_list : list of (str, transformer) tuples
        The branches.
    n_jobs, transformer_weights, verbose, verbose_feature_names_out
        As in :class:`sklearn.pipeline.FeatureUnion`.
    """

    def fit(self, X, y=None, **fit_params):
        """Fit all branches.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.
        y : array-like, default=None
            Responses.
        **fit_params : dict
            As in :class:`sklearn.pipeline.FeatureUnion`.

        Returns
        -------
        self
        """
        self._warn_of_different_models()
        return super().fit(X, y, **fit_params)

    def fit_transform(self, X, y=None, **params):
        """Fit all branches, and give their columns side by side.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.
        y : array-like, default=None
            Responses.
        **params : dict
            As in :class:`sklearn.pipeline.FeatureUnion`.

        Returns
        -------
        ndarray or sparse array of shape (n_texts, n_columns)
        """
        self._warn_of_different_models()
        return super().fit_transform(X, y, **params)

    def _warn_of_different_models(self) -> None:
        models = {
            name: as_language_model(part.model)
            for name, part in self.get_params(deep=True).items()
            if isinstance(part, TextTransformer)
        }
        (first, model), *others = models.items() or [(None, None)]
        for name, other in others:
            if other != model:
                mine, its = model.get_params(deep=False), other.get_params(deep=False)
                changed = ", ".join(key for key in mine if key not in NO_RESULT and not _same(mine[key], its[key]))
                warnings.warn(
                    f"The language models of {first!r} and {name!r} differ in {changed}: each text runs once for each "
                    f"of them. Set parameters for both, such as {first}__model__{changed.partition(',')[0]} and "
                    f"{name}__model__{changed.partition(',')[0]}.",
                    UserWarning,
                    stacklevel=3,
                )


def _same(one, other) -> bool:
    return one is other or (isinstance(one, (str, int, tuple)) and one == other)
