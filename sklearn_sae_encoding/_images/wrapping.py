"""What a regressor of masked images tells of the regressor inside."""

from __future__ import annotations

import copy

from sklearn.utils import get_tags

from sklearn_sae_encoding._forwarding import ForwardsToParts
from sklearn_sae_encoding._images.masks import is_fitted


class WrapsRegressor(ForwardsToParts):
    """Features, tags, routing and clones of an estimator around a `regressor` and a `masker`."""

    def __sklearn_is_fitted__(self):
        return "regressor_" in vars(self)

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self.regressor)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.regressor_tags = inner.regressor_tags
        return tags

    def __sklearn_clone__(self):
        # A fitted masker may know a mask that its parameters don't: it stays fitted. The copy is shallow, so that
        # set_params on the clone leaves the original alone, and masks aren't copied for each fold.
        cloned = super().__sklearn_clone__()
        if is_fitted(self.masker):
            cloned.masker = copy.copy(self.masker)
        return cloned

    def _told(self, name):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"This {type(self).__name__} has no {name} before it is fitted.")
        return getattr(self.regressor_, name)
