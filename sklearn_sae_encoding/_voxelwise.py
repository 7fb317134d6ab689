"""What regressors of very many voxels share: scores a voxel, and metadata for their splitter."""

from __future__ import annotations

import numpy as np
from sklearn import get_config
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from .metrics._scores import voxel_metric


class VoxelwiseRegressorMixin(MultiOutputMixin, RegressorMixin):
    """Scores, routing and tags of a regressor with a parameter `cv`."""

    def score(self, X, y, sample_weight=None, **predict_params):
        """Return the coefficient of determination, averaged over the voxels for which it is defined.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        sample_weight : None
            Only for compatibility; weights are not supported.
        **predict_params : dict
            Handed to ``predict``, such as the `groups` of a BandedRidgeEncoder with ``scale="runs"``.

        Returns
        -------
        score : float
            NaN if it is defined for no voxel.
        """
        if sample_weight is not None:
            raise ValueError(f"{type(self).__name__}.score does not support sample_weight; pass None.")
        r2 = self.voxel_scores(X, y, metric="r2", **predict_params)
        return float(np.mean(r2[~np.isnan(r2)])) if np.any(~np.isnan(r2)) else float("nan")

    def voxel_scores(self, X, Y, metric="pearson", **predict_params):
        """Score each voxel.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        Y : array-like of shape (n_samples, n_targets) or (n_samples,)
        metric : {"pearson", "r2"} or callable, default="pearson"
            A callable takes the true and the predicted responses and returns an array.
        **predict_params : dict
            As in :meth:`score`.

        Returns
        -------
        scores : ndarray of shape (n_targets,)
            NaN where the score is not defined; see :mod:`sklearn_sae_encoding.metrics`.
        """
        return voxel_metric(metric)(np.asarray(Y), self.predict(X, **predict_params))

    def get_metadata_routing(self):
        """Return how metadata such as ``groups`` are routed to the splitter.

        Returns
        -------
        routing : sklearn.utils.metadata_routing.MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=check_cv(self.cv), method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def _split_params(self, params):
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **params).splitter.split
        unknown = sorted(set(params) - {"groups"})
        if unknown:
            raise ValueError(
                f"{type(self).__name__}.fit takes groups= for its splitter, got {unknown} too. Other metadata need "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        return params


def counts_constant(regressor) -> bool:
    """Tell whether a regressor, or the last step of a pipeline, warns of constant voxels by itself."""
    last = regressor.steps[-1][1] if getattr(regressor, "steps", None) else regressor
    return isinstance(last, VoxelwiseRegressorMixin)
