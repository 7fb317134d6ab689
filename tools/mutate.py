"""
Change the code a little, many times, and see whether the tests that mirror it notice.

    python tools/mutate.py --out mutants.jsonl --number 200 --seed 0
    python tools/mutate.py --out mutants.jsonl --again    those that survived, after writing what was missing
    python tools/mutate.py --out mutants.jsonl --report

A mutant is one module with one change: another comparison or operator, a number that is one larger, a condition that
is negated or never asked, a sign. Each runs in a process of its own with the tests that mirror the module, which stop
at the first failure. Results are kept one a line, so that a run that was stopped goes on. Survivors that change
nothing that can be seen stand with their reason in equivalent_mutants.txt; --report leaves them out.

numba doesn't notice that a kernel called by another one was edited: kernels are compiled anew (an empty cache for each
mutant), or run uncompiled with --interpret.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")

# Modules, and the tests that mirror them.
MIRRORS = {
    "metrics/_scores.py": ["tests/metrics/test_scores.py"],
    "metrics/_scorer.py": ["tests/metrics/test_scorer.py"],
    "metrics/_ceilings.py": ["tests/metrics/test_ceilings.py"],
    "metrics/_cross_val.py": ["tests/metrics/test_cross_val.py"],
    "metrics/_intervals.py": ["tests/metrics/test_intervals.py"],
    "metrics/_leaks.py": ["tests/metrics/test_leaks.py"],
    "metrics/_listeners.py": ["tests/metrics/test_listeners.py"],
    "metrics/_nulls.py": ["tests/metrics/test_nulls.py"],
    "metrics/_permutation.py": ["tests/metrics/test_permutation.py", "tests/metrics/test_nulls.py"],
    "metrics/_samples.py": ["tests/metrics/test_cross_val.py", "tests/timing/test_regressor.py"],
    "metrics/_table.py": ["tests/metrics/test_table.py"],
    "metrics/_recovery.py": ["tests/metrics/test_recovery.py", "tests/analysis/test_supports.py"],
    "metrics/_controls.py": ["tests/metrics/test_controls.py"],
    "betas.py": ["tests/test_betas.py"],
    "cost.py": ["tests/test_cost.py"],
    "tokens.py": ["tests/test_tokens.py"],
    "_tokens/alignment.py": ["tests/tokens/test_alignment.py"],
    "_tokens/arrays.py": ["tests/test_tokens.py", "tests/analysis/test_populations.py"],
    "_tokens/checks.py": ["tests/test_tokens.py", "tests/tokens/test_spans.py"],
    "_tokens/placing.py": ["tests/tokens/test_word_lists.py"],
    "_tokens/pooling.py": ["tests/tokens/test_pooling.py"],
    "_tokens/spans.py": ["tests/tokens/test_spans.py"],
    "_tokens/word_lists.py": ["tests/tokens/test_word_lists.py"],
    "_sae/arrays.py": ["tests/sae"],
    "_sae/columns.py": ["tests/sae"],
    "_sae/selection.py": ["tests/sae"],
    "timing/_cleaning.py": ["tests/timing/test_cleaning.py"],
    "timing/_delays.py": ["tests/timing/test_delays.py"],
    "timing/_folds.py": ["tests/timing/test_runs.py", "tests/timing/test_regressor.py"],
    "timing/_readers.py": ["tests/timing/test_readers.py"],
    "timing/_resampling.py": ["tests/timing/test_resampling.py"],
    "timing/_run.py": ["tests/timing/test_runs.py"],
    "timing/_words.py": ["tests/timing/test_runs.py"],
    "reading/_delta.py": ["tests/reading/test_delta.py"],
    "reading/_exclusions.py": ["tests/reading/test_word_columns.py"],
    "reading/_spillover.py": ["tests/reading/test_word_columns.py"],
    "analysis/agreement.py": ["tests/analysis/test_agreement.py"],
    "analysis/baselines.py": ["tests/analysis/test_baselines.py"],
    "analysis/by_category.py": ["tests/analysis/test_by_category.py"],
    "analysis/feature_maps.py": ["tests/analysis/test_feature_maps.py"],
    "analysis/feature_tests.py": ["tests/analysis/test_feature_tests.py"],
    "analysis/group_maps.py": ["tests/analysis/test_group_maps.py"],
    "analysis/layers.py": ["tests/analysis/test_layers.py"],
    "analysis/kinds.py": ["tests/analysis/test_kinds.py"],
    "analysis/spatial_nulls.py": ["tests/analysis/test_spatial_nulls.py"],
    "analysis/stability.py": ["tests/analysis/test_stability.py"],
    "analysis/taxonomy.py": ["tests/analysis/test_taxonomy.py"],
    "analysis/topography.py": ["tests/analysis/test_topography.py"],
    "_solvers/columns.py": ["tests/solvers/test_columns.py", "tests/solvers/lasso/test_paths.py"],
    "_solvers/mixed/design.py": ["tests/solvers/test_mixed.py"],
    "_solvers/mixed/fit.py": ["tests/solvers/test_mixed.py"],
    "_solvers/mixed/likelihood.py": ["tests/solvers/test_mixed.py"],
    "_solvers/banded/bands.py": ["tests/solvers/banded/test_kernels.py"],
    "_solvers/banded/kernels.py": ["tests/solvers/banded/test_kernels.py"],
    "_solvers/banded/planning.py": ["tests/solvers/banded/test_planning.py"],
    "_solvers/banded/search.py": ["tests/solvers/banded/test_search.py"],
    "_solvers/running/blocks.py": ["tests/solvers/running"],
    "_solvers/lasso/active_sets.py": [
        "tests/solvers/lasso/test_chunks.py",
        "tests/solvers/lasso/test_changes.py",
    ],
    "_solvers/lasso/changes.py": ["tests/solvers/lasso/test_changes.py"],
    "_solvers/lasso/cross_validation.py": ["tests/solvers/lasso", "tests/test_encoder_inputs.py"],
    "_solvers/lasso/descent.py": ["tests/solvers/lasso"],
    "_solvers/lasso/ftest.py": ["tests/solvers/lasso/test_paths.py"],
    "_solvers/lasso/homotopy.py": ["tests/solvers/lasso"],
    "_solvers/lasso/inverses.py": ["tests/solvers/lasso/test_inverses.py", "tests/solvers/lasso/test_changes.py"],
    "_solvers/lasso/lanes.py": ["tests/solvers/lasso"],
    "_solvers/lasso/panels.py": ["tests/solvers/lasso/test_inverses.py"],
    "_solvers/lasso/path.py": ["tests/solvers/lasso"],
    "_solvers/lasso/pivoting.py": ["tests/solvers/lasso"],
    "_solvers/lasso/problems.py": ["tests/solvers/lasso/test_devices.py", "tests/solvers/lasso/test_paths.py"],
    "_solvers/lasso/recording.py": ["tests/solvers/lasso", "tests/test_encoder_inputs.py"],
    "_solvers/lasso/screening.py": ["tests/solvers/lasso"],
    "_solvers/lasso/steps.py": ["tests/solvers/lasso"],
    "_solvers/transfer/nonnegative_ridge.py": ["tests/solvers/transfer"],
}

HEAVY = (
    *("numba", "numpy", "pandas", "pytest", "hypothesis", "scipy.stats", "sklearn.linear_model", "torch"),
    *("sklearn.model_selection", "sklearn.utils.estimator_checks", "tokenizers", "transformers", "nilearn.maskers"),
)
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def changes(node):
    """Give the changed copies of a node, with a word for each."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        other = copy.deepcopy(node)
        other.ops = [COMPARISONS[type(node.ops[0])]()]
        yield "comparison", other
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        other = copy.deepcopy(node)
        other.op = OPERATORS[type(node.op)]()
        yield "operator", other
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "number", ast.copy_location(ast.Constant(node.value + 1), node)
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "boolean", ast.copy_location(ast.Constant(not node.value), node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield "sign", node.operand
    if isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            other = copy.deepcopy(node)
            del other.values[i]
            yield f"condition {i} dropped", other.values[0] if len(other.values) == 1 else other
    if isinstance(node, (ast.If, ast.IfExp)):
        other = copy.deepcopy(node)
        other.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
        yield "condition negated", other


class _Replace(ast.NodeTransformer):
    def __init__(self, at, new):
        self.at, self.new, self.seen = at, new, -1

    def visit(self, node):
        self.seen += 1
        if self.seen == self.at:
            return self.new
        return self.generic_visit(node)


def _in_order(node):
    """Nodes in the order in which _Replace counts them."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def mutants(module):
    """Give each mutant of a module: its name and line, and a function that makes its tree. Errors' words are left."""
    source = (ROOT / "sklearn_sae_encoding" / module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    silent = {
        id(inner) for node in ast.walk(tree) if isinstance(node, (ast.Raise, ast.JoinedStr)) for inner in ast.walk(node)
    }
    silent |= {id(inner) for node in ast.walk(tree) if _only_shows(node) for inner in ast.walk(node)}
    namesakes = Counter()
    for at, node in enumerate(_in_order(tree)):
        if id(node) in silent:
            continue
        for i, (word, new) in enumerate(changes(node)):
            line = source.splitlines()[node.lineno - 1].strip()
            name = f"{module} | {line} | {word} {ast.unparse(node)[:60]!r}"
            namesakes[name] += 1
            if namesakes[name] > 1:
                name += f" #{namesakes[name]}"
            yield (
                {"name": name, "module": module, "line": node.lineno, "variant": (at, i)},
                partial(_changed, tree, at, new),
            )


def _changed(tree, at, new):
    return _Replace(at, new).visit(copy.deepcopy(tree))


def _only_shows(node):
    """Tell calls that only show something: warnings, the depth of the stack that they name, and what is printed."""
    if isinstance(node, ast.keyword):
        return node.arg == "stacklevel"
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("warnings.warn", "print")


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name, code, path):
        self.name, self.code, self.path = name, code, path

    def find_spec(self, fullname, path=None, target=None):
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def exec_module(self, module):
        exec(self.code, module.__dict__)


def is_noticed(module, tree, seconds, interpret):
    """Run the tests that mirror a module on a mutant of it, in a child process."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        if "_solvers" in module:
            numba = sys.modules["numba"]
            numba.config.DISABLE_JIT, numba.config.CACHE_DIR = int(interpret), tempfile.mkdtemp()
        os.chdir(ROOT)
        sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
        name = "sklearn_sae_encoding." + module.removesuffix(".py").replace("/", ".")
        path = ROOT / "sklearn_sae_encoding" / module
        sys.meta_path.insert(0, _Mutated(name, compile(ast.fix_missing_locations(tree), str(path), "exec"), path))
        import pytest

        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *MIRRORS[module]])
        os._exit(1 if code else 0)
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "noticed" if status else "survived"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "noticed (no end)"


def run(options):
    """Run as many mutants as asked, spread over the modules, those that are not in the file yet."""
    for name in HEAVY:
        importlib.import_module(name)  # before the fork, so once
    left = survivors(options.out)
    known = {record["name"] for record in read(options.out)}
    chosen, rng = [], random.Random(options.seed)
    modules = options.modules or list(MIRRORS)
    for module in modules:
        every = list(mutants(module))
        rng.shuffle(every)
        if options.again:
            every = [one for one in every if one[0]["name"] in left]
        else:
            every = [one for one in every[: -(-options.number // len(modules))] if one[0]["name"] not in known]
        if not every:
            continue
        unchanged = ast.parse((ROOT / "sklearn_sae_encoding" / module).read_text(encoding="utf-8"))
        if is_noticed(module, unchanged, options.seconds, options.interpret) != "survived":
            sys.exit(f"The tests of {module} fail without any change, or take longer than --seconds {options.seconds}.")
        chosen += every
    rng.shuffle(chosen)
    for i, (record, make) in enumerate(chosen):
        record["result"] = is_noticed(record["module"], make(), options.seconds, options.interpret)
        keep(options.out, record)
        print(f"{i + 1} of {len(chosen)}: {record['result']}: {record['name']}", flush=True)

    if options.again:  # the code has changed under the others
        found = {record["name"] for record, _ in chosen}
        for record in read(options.out):
            if record["name"] in left - found and record["module"] in modules:
                keep(options.out, record | {"result": "gone"})


def keep(path, record):
    """Add a result."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read(path):
    """Read the results of earlier runs, of each mutant the last."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return list({record["name"]: record for record in map(json.loads, lines)}.values())


def survivors(path):
    """Names of the mutants that passed all tests and aren't known to change nothing."""
    return {record["name"] for record in read(path) if record["result"] == "survived"} - equivalent()


def equivalent():
    """Read which mutants change nothing that can be seen: a name a line, its reason indented below."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line for line in lines if line and not line.startswith((" ", "#"))}


def report(path):
    """Print the share that was noticed, and the survivors."""
    known, left = equivalent(), survivors(path)
    results = [record for record in read(path) if record["name"] not in known and record["result"] != "gone"]
    n_modules = len({record["module"] for record in results})
    print(f"{len(results) - len(left)} of {len(results)} mutants of {n_modules} modules were noticed", end="")
    print(f" ({1 - len(left) / len(results):.1%}), equivalent ones left out" if results else "")
    for record in sorted((one for one in results if one["name"] in left), key=lambda one: (one["module"], one["line"])):
        print(f"  {record['module']}:{record['line']} {record['name']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--out", type=Path, required=True, help="file of results, one a line")
    parser.add_argument("--number", type=int, default=200, help="mutants in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120, help="a mutant whose tests take longer counts as noticed")
    parser.add_argument("--modules", nargs="*", help="of MIRRORS; all if none is named")
    parser.add_argument("--interpret", action="store_true", help="run kernels uncompiled")
    parser.add_argument("--again", action="store_true", help="try those that survived earlier runs once more")
    parser.add_argument("--report", action="store_true", help="only say what the file holds")
    arguments = parser.parse_args()
    if not arguments.report:
        run(arguments)
    report(arguments.out)
