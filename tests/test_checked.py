"""The page of what is checked names tests that are there, and how to fuzz for longer."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
NAMED = re.findall(r"``([\w/]+\.py)::(\w+)``", (ROOT / "doc" / "checked.rst").read_text(encoding="utf-8"))


def test_every_test_that_the_page_names_is_there():
    missing = []
    for file in sorted({file for file, _ in NAMED}):
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        missing += [f"{file}::{name}" for named_in, name in NAMED if named_in == file and name not in there]
    assert missing == []


def test_every_row_of_the_page_names_a_test():
    rows = (ROOT / "doc" / "checked.rst").read_text(encoding="utf-8").split("   * - ")[1:]
    rows = [row for row in rows if not row.startswith("What you might do")]
    assert len(rows) == 60
    assert [row.splitlines()[0] for row in rows if ".py::test_" not in row] == []


@pytest.fixture
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "tools" / "fuzz.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.mark.parametrize("kind", ["encoder", "model", "saved"])
def test_a_random_problem_of_each_kind_is_solved_and_counted(fuzz, kind, capsys):
    assert fuzz.main(["--seed", "1", "--only", kind, "--number", "0"]) == 0
    assert re.search(rf"{kind} +1 problems in +\d+ s, 0 failed\n", capsys.readouterr().out)


def test_a_problem_that_fails_is_named_so_that_it_can_be_run_again(fuzz, capsys, monkeypatch):
    def solve(rng):
        assert rng.integers(10) < 0, "wrong"

    monkeypatch.setitem(fuzz.KINDS, "saved", solve)
    assert fuzz.main(["--seed", "3", "--only", "saved", "--number", "7"]) == 1
    said = capsys.readouterr().out
    assert "--- saved, seed 3, number 7" in said
    assert "AssertionError: wrong" in said
    assert "1 failed: [7]" in said
