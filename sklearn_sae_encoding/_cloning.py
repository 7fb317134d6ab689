"""Cloning estimators that hold weights."""

from __future__ import annotations

from sklearn.base import BaseEstimator


def clone_sharing(estimator, shared: tuple[str, ...]):
    """A clone that has the very objects of the parameters `shared`: heavy, and never changed by an estimator.

    Every other parameter is copied as ``sklearn.base.clone`` does, and the settings of output and metadata with them.
    """
    # scikit-learn clones a stand-in that holds nothing heavy; its copy then gets what is shared.
    light = object.__new__(type(estimator))
    vars(light).update(vars(estimator))
    for name in shared:
        setattr(light, name, None)
    new = BaseEstimator.__sklearn_clone__(light)
    for name in shared:
        setattr(new, name, getattr(estimator, name))
    return new
