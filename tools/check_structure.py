"""
Check what the linters don't: sizes of modules, numbers of arguments, private names of others, lines of the guide.

    python tools/check_structure.py

Prints one line a fault and exits with 1 if there is any. `make lint` runs it.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sklearn_sae_encoding"
MAX_LINES = 380
MAX_ARGUMENTS = 8  # of private functions, and of all in _solvers: more are a NamedTuple
MAX_POSITIONAL = 3  # of public functions; `self` doesn't count
MAX_COLUMNS = 88  # of README and guide, which are read in a browser; tables and formulas are drawn, not read
FOREIGN = ("sklearn", "sae_lens", "torch", "numba", "transformers", "nilearn", "himalaya")


def public_names():
    """Names in the __all__ of a module that users may import from."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        if any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(PACKAGE).parts):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
                names.update(ast.literal_eval(node.value))
    return names


def check(path, public):
    """Yield the faults of one module."""
    source = path.read_text(encoding="utf-8")
    n_lines = source.count("\n")
    if n_lines > MAX_LINES:
        yield 1, f"{n_lines} lines, at most {MAX_LINES}: is there a second idea in it?"
    tree = ast.parse(source)
    yield from _private_imports(tree)
    yield from _private_attributes(tree)
    for function, owners in _functions(tree):
        home = (owners or (function.name,))[0]
        is_public = home in public and not any(part.startswith("_") for part in path.parent.parts)
        yield from _arguments(function, owners, is_public=is_public)


def _private_imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        private = [name for name in names if name.startswith("_") and not name.startswith("__")]
        if names[0] in FOREIGN and private:
            yield node.lineno, f"{private[0]} is a private name of {names[0]}"


def _private_attributes(tree):
    """Names that scikit-learn keeps to itself, wherever they are read or set."""
    private = {"_sklearn_output_config", "_metadata_request", "_parameter_constraints", "_validate_params"}
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
        if name in private:
            yield node.lineno, f"{name} is a private name of sklearn"


def _functions(tree, owners=()):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, owners
            yield from _functions(node, (*owners, node.name))
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, (*owners, node.name))
        else:
            yield from _functions(node, owners)


def _arguments(function, owners, *, is_public):
    positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
    every = positional + [a.arg for a in function.args.kwonlyargs]
    is_public = is_public and (function.name == "__init__" or not function.name.startswith("_"))
    if is_public and len(positional) > MAX_POSITIONAL:
        yield function.lineno, f"{function.name} takes {len(positional)} positional arguments, at most {MAX_POSITIONAL}"
    if not is_public and len(every) > MAX_ARGUMENTS and function.name != "__init__":
        yield function.lineno, f"{function.name} takes {len(every)} arguments, at most {MAX_ARGUMENTS}"


def check_page(path):
    """Yield the lines of a page that are too long for a browser's column and could be broken."""
    inside = None  # what ends the table or formula that a line stands in
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if inside and inside(line):
            inside = None
        elif not inside and re.match(r" *=+ +=", line):
            rule, n_rules = line, 0

            def inside(line, rule=rule):
                nonlocal n_rules
                n_rules += line == rule
                return n_rules == 2

        elif not inside and line.strip() == ".. math::":
            inside = re.compile(r"\S").match
        elif not inside and len(line) > MAX_COLUMNS and len(line.split()) > 2 and not line.startswith("|"):
            yield number, f"{len(line)} columns, at most {MAX_COLUMNS}"


def main():
    """Print all faults."""
    public = public_names()
    found = {path: check(path, public) for path in sorted(PACKAGE.rglob("*.py"))}
    pages = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.rst"))]
    found |= {path: check_page(path) for path in pages if path.name != "sg_execution_times.rst"}  # which is generated
    faults = [f"{path.relative_to(ROOT)}:{line}: {fault}" for path in found for line, fault in found[path]]
    print("\n".join(faults) or "structure: no faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
