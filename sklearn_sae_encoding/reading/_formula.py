"""A formula and a table to a response and predictors."""

from __future__ import annotations

import ast
import re
import warnings
from typing import NamedTuple

import numpy as np


class Design(NamedTuple):
    """Response and predictors of the rows of a table."""

    response: np.ndarray  # (n_rows,)
    predictors: np.ndarray  # (n_rows, n_predictors)
    names: list[str]  # of the predictors
    spec: object  # of formulaic: remembers categories, means, knots of the rows it was made from


def parsed(formula):
    """The formula, with a response and without R's notation of random effects."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    if not isinstance(formula, str) or "~" not in formula or not formula.partition("~")[0].strip():
        raise ValueError(f"formula must be a string such as 'log(gaze) ~ length + surprisal', got {formula!r}.")
    if "|" in formula:
        raise ValueError(
            "Random intercepts are given by random_intercepts=('participant', 'item'), not in the formula: "
            f"{formula!r}."
        )
    try:
        return Formula(formula)
    except FormulaicError as error:
        said = re.sub(r"\x1b\[[\d;]*m", "", str(error))  # it underlines in colours
        raise ValueError(f"The formula {formula!r} can't be read: {said}") from error


def needed_columns(formula):
    """Names of the columns that a formula uses, in alphabetic order."""
    # formulaic's own list leaves out what stands in a call with more than one argument, such as x in poly(x, 2).
    structure = parsed(formula)
    names = {str(name) for name in structure.required_variables}
    for side in (structure.lhs, structure.rhs):
        for term in side:
            for factor in term.factors:
                names |= _names_in(factor.expr)
    return sorted(names)


def _names_in(expression):
    """Names of an expression that are no functions or modules."""
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except SyntaxError:  # a name in backticks, which formulaic lists itself
        return set()
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    modules = {node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
    contrasts = {
        arg.id for node in nodes if _is_categorical(node) for arg in node.args[1:] if isinstance(arg, ast.Name)
    }
    return {node.id for node in nodes if isinstance(node, ast.Name)} - called - modules - contrasts


def _is_categorical(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "C"


def make_design(formula, table):
    """Evaluate the formula on a table without missing values; the spec repeats it on others."""
    matrices = _evaluated(lambda: parsed(formula).get_model_matrix(table, na_action="raise", output="pandas"), formula)
    return _design(matrices, matrices.model_spec, table)


def repeat_design(spec, formula, table, *, response=True):
    """Evaluate the formula as on the rows it was made from, with their categories, means and knots."""
    asked = spec if response else spec.rhs
    matrices = _evaluated(lambda: asked.get_model_matrix(table, na_action="raise", output="pandas"), formula)
    if not response:
        return Design(np.zeros(0), _numbers(matrices, table), list(matrices.columns), spec)
    return _design(matrices, spec, table)


def _evaluated(evaluate, formula):
    from formulaic.errors import DataMismatchWarning, FormulaicError

    # What the logarithm of zero gives is refused below, by name.
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            return evaluate()
        except (FormulaicError, DataMismatchWarning) as error:
            raise ValueError(f"The formula {formula!r} can't be evaluated on the table: {error}") from error


def _design(matrices, spec, table):
    response = _numbers(matrices.lhs, table)
    if response.shape[1] != 1:
        columns = list(matrices.lhs.columns)
        shown = f"{columns[:3]}{' and more' if len(columns) > 3 else ''}"
        coded = "; values stored as text become a column each: pd.to_numeric" if _is_coded(columns) else ""
        raise ValueError(f"The formula must have one numeric response, got the columns {shown}{coded}.")
    return Design(response[:, 0], _numbers(matrices.rhs, table), list(matrices.rhs.columns), spec)


def _is_coded(columns):
    """Tell whether a formula made columns of the values of a category, as in ``rt[300]``."""
    return all(str(column).endswith("]") for column in columns)


def _numbers(matrix, table):
    values = matrix.to_numpy(dtype=float)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{matrix.columns[column]} is not a finite number in {int(bad[:, column].sum())} of {len(table)} rows, "
            f"first row {row} ({dict(table.iloc[row])}). A time of zero has no logarithm: exclude_times leaves out "
            "words that were skipped."
        )
    return values
