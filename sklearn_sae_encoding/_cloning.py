"""Cloning estimators that hold weights."""

from __future__ import annotations

from sklearn.base import clone


def clone_sharing(estimator, shared: tuple[str, ...]):
    """A clone that has the very objects of the parameters `shared`: heavy, and never changed by an estimator.

    Every other parameter is copied as ``sklearn.base.clone`` does, and the settings of output and metadata with them.
    """
    params = {
        name: value if name in shared else clone(value, safe=False)
        for name, value in estimator.get_params(deep=False).items()
    }
    new = type(estimator)(**params)
    for name in ("_metadata_request", "_sklearn_output_config"):
        if name in vars(estimator):
            setattr(new, name, clone(getattr(estimator, name), safe=False))
    return new
