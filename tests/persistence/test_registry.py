"""Every public estimator can be saved, or there is a reason why not."""

import importlib
import inspect
import pkgutil

import pytest
from sklearn.base import BaseEstimator

import sklearn_sae_encoding
from sklearn_sae_encoding.persistence import _registry

MODULES = [
    importlib.import_module(f"sklearn_sae_encoding.{found.name}")
    for found in pkgutil.iter_modules(sklearn_sae_encoding.__path__)
    if not found.name.startswith("_")
]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in getattr(module, "__all__", ())
    if inspect.isclass(getattr(module, name)) and hasattr(getattr(module, name), "get_params")
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_estimator_is_in_the_table_or_has_a_reason(name):
    assert (name in _registry.OURS) != (name in _registry.NOT_SAVED), (
        f"Add {name} to OURS in persistence/_registry.py, or to NOT_SAVED with a reason"
    )
    assert all(len(reason) > 20 for reason in _registry.NOT_SAVED.values())


@pytest.mark.parametrize("name", sorted(_registry.STATES | _registry.MASKERS))
def test_a_name_in_the_tables_is_that_of_a_class_and_the_other_way_round(name):
    table = _registry.MASKERS if name in _registry.MASKERS else _registry.STATES
    kind = _registry.find_class(name, table)
    assert inspect.isclass(kind)
    assert _registry.name_of(kind) == name
    assert not hasattr(kind, "best_estimator_")
    assert not any("Search" in base.__name__ for base in kind.__mro__)


def test_classes_that_are_derived_from_those_of_the_tables_are_not_in_them():
    from sklearn.linear_model import Ridge

    class Other(Ridge):
        pass

    assert _registry.name_of(Other) is None
    assert _registry.name_of(BaseEstimator) is None
