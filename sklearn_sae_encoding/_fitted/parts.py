"""A fitted model to its parts, whatever is wrapped around them."""

from __future__ import annotations

from typing import NamedTuple

from sklearn_sae_encoding.timing import WordsToScans

# Under which names a fitted wrapper holds the estimator that it wraps.
_INNER = ("best_estimator_", "regressor_", "estimator_")


class Parts(NamedTuple):
    """A fitted model, taken apart."""

    wrappers: list  # from the outside in
    transformers: list  # fitted, in the order in which they make the features
    linear: object  # what weighs the features


def unwrap(fitted) -> Parts:
    """Find what makes the features and what weighs them.

    A search, a regressor of transformed or masked targets, and any other wrapper is known by a fitted estimator among
    its attributes: `best_estimator_`, `regressor_` or `estimator_`. One that makes features of its own before lists the
    fitted transformers that do, in their order, as `feature_transformers_`.
    """
    wrappers, transformers = [], []
    while True:
        steps = getattr(fitted, "steps", None)
        if steps:
            transformers += [step for _, step in steps[:-1] if is_estimator(step)]
            fitted = steps[-1][1]
            continue
        inner = _inner(fitted)
        if inner is None:
            return Parts(wrappers, transformers, fitted)
        wrappers.append(fitted)
        transformers += list(getattr(fitted, "feature_transformers_", ()))
        fitted = inner


def _inner(fitted):
    if hasattr(fitted, "coef_"):
        return None
    return next((part for part in (getattr(fitted, name, None) for name in _INNER) if is_estimator(part)), None)


def is_estimator(part) -> bool:
    """Whether a step does anything, unlike None, "passthrough" and "drop"."""
    return hasattr(part, "get_params") and not isinstance(part, type)


def parts_of(estimator):
    """Walk through an estimator and those it is made of: fitted ones, or else parameters."""
    yield estimator
    for part in getattr(estimator, "feature_transformers_", ()):
        yield from parts_of(part)
    for name in _INNER:
        if is_estimator(part := getattr(estimator, name, None)):
            yield from parts_of(part)
            return
    for part in _listed(estimator):
        yield from parts_of(part)


def leaves(transformer):
    """Give all transformers inside pipelines, unions and column transformers, in the order of the flow."""
    inside = list(_listed(transformer))
    found = [leaf for part in inside for leaf in leaves(part)]
    does_more = isinstance(transformer, WordsToScans) or not inside  # than to hold what is inside
    return [*found, transformer] if does_more and is_estimator(transformer) else found


def _listed(estimator):
    if isinstance(estimator, WordsToScans):
        of_words = getattr(estimator, "features_", estimator.features)
        return (part for part in [of_words] if is_estimator(part))
    pairs = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None)
    pairs = pairs or getattr(estimator, "transformers_", None) or ()
    return (part for _, part, *_ in pairs if is_estimator(part))
