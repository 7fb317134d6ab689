"""Running a model that may be the user's own, and leaving it as it was."""

from __future__ import annotations

import contextlib
import inspect

from sklearn_sae_encoding._forks import mind_forks


@contextlib.contextmanager
def evaluating(model):
    """Switch dropout off for a while, module by module as it was: the model may be the user's own."""
    mind_forks()
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextlib.contextmanager
def without_hooks(model):
    """Take all forward hooks off for a while, so that those of others meet nothing but texts."""
    hooks = [
        (place, dict(place))
        for module in model.modules()
        for place in (module._forward_hooks, module._forward_pre_hooks)
    ]
    for place, _ in hooks:
        place.clear()
    try:
        yield
    finally:
        for place, were in hooks:
            place.update(were)


def without_cache(model) -> dict:
    """Arguments that keep `model` from storing keys and values: none for encoders, some of which don't know them."""
    parameters = inspect.signature(model.forward).parameters.values()
    takes_it = any(one.name == "use_cache" or one.kind is one.VAR_KEYWORD for one in parameters)
    return {"use_cache": False} if takes_it else {}
