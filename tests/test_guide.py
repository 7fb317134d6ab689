"""The guide's code: names that are imported are there, and functions are called as they are defined."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.rst"))]
IN_RST = re.compile(r"^( *)\.\. code-block:: python\n\n((?:\1    .*\n|\n)+)", re.MULTILINE)
IN_MARKDOWN = re.compile(r"^()```python\n(.*?)```", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not (ROOT / "doc").is_dir(), reason="the guide is not here")


def programs(page):
    """Give the program of each block of code, with the line that it begins on."""
    text = page.read_text(encoding="utf-8")
    for block in (IN_MARKDOWN if page.suffix == ".md" else IN_RST).finditer(text):
        yield text[: block.start()].count("\n") + 1, ast.parse(textwrap.dedent(block[2]), str(page))


def imported(program):
    """Give what a program imports from the library, by the name that it then has."""
    for node in ast.walk(program):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn_sae_encoding"):
            module = importlib.import_module(node.module)
            yield from ((name.asname or name.name, getattr(module, name.name)) for name in node.names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_guide_imports_exists_and_is_called_with_parameters_that_it_has(page):
    known = {}
    for line, program in programs(page):
        known.update(imported(program))
        for call in (node for node in ast.walk(program) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in known and all(word.arg for word in call.keywords):
                signature = inspect.signature(known[call.func.id])
                try:
                    signature.bind(*call.args, **{word.arg: word.value for word in call.keywords})
                except TypeError as error:
                    pytest.fail(f"{page.name}, code of line {line}: {call.func.id}{signature}: {error}")
