"""What an estimator around a regressor tells of what is inside."""

from __future__ import annotations

from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping


class ForwardsToParts:
    """Columns as a part tells them (``_told(name)`` asks it), and parameters of ``fit`` that go to `regressor`."""

    @property
    def n_features_in_(self):
        """Number of columns of `X`, as the part that takes them tells it."""
        return self._told("n_features_in_")

    @property
    def feature_names_in_(self):
        """Names of the columns of `X`, as the part that takes them tells them."""
        return self._told("feature_names_in_")

    def get_metadata_routing(self):
        """Say that parameters of ``fit`` go to the regressor's.

        Returns
        -------
        routing : MetadataRouter
        """
        return MetadataRouter(owner=self).add(
            regressor=self.regressor, method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )
