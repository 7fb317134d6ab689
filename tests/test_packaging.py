"""What is handed out: the source with what its tests need, the wheel with the package, extras without surprises."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "sklearn_sae_encoding"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names of the files in the sdist and in the wheel that is made of it."""
    setuptools = pytest.importorskip("setuptools", minversion="77")
    assert setuptools
    folder = tmp_path_factory.mktemp("dist")
    run_backend(f"build_sdist({str(folder)!r})", ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    run_backend(f"build_wheel({str(folder)!r})", source)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        wheel_names = set(archive.namelist())
    return files_below(source) - {"setup.py"}, wheel_names


def run_backend(call, folder):
    subprocess.run(
        [sys.executable, "-c", f"from setuptools import build_meta; build_meta.{call}"],
        cwd=folder, check=True, capture_output=True, env=os.environ,
    )  # fmt: skip


def files_below(folder, *parts):
    paths = folder.joinpath(*parts).rglob("*")
    made = ("__pycache__", "build", f"{PACKAGE}.egg-info")
    return {
        path.relative_to(folder).as_posix()
        for path in paths
        if path.is_file() and not set(path.relative_to(folder).parts) & set(made)
    }


def test_the_source_holds_all_that_the_tests_need(built):
    sdist, _ = built
    for folder in ("tests", "tools", PACKAGE):
        here = {name for name in files_below(ROOT, folder) if not name.endswith((".pyc", ".nbi", ".nbc"))}
        assert here - sdist == set()
    assert {"doc/api.rst", "README.md", "pyproject.toml", "setup.cfg", "LICENSE"} <= sdist


def test_the_source_and_the_wheel_hold_nothing_else(built):
    sdist, wheel = built
    tops = {name.partition("/")[0] for name in sdist}
    assert tops <= {
        "tests", "tools", "doc", PACKAGE, "README.md", "LICENSE", "pyproject.toml", "setup.cfg", "PKG-INFO",
        "MANIFEST.in", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt",
    }  # fmt: skip
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {PACKAGE}
    assert all(name.endswith(".rst") for name in sdist if name.startswith("doc/"))


def test_the_wheel_holds_the_package_with_its_data(built):
    _, wheel = built
    assert {name for name in files_below(ROOT, PACKAGE) if not name.endswith((".pyc", ".nbi", ".nbc"))} <= wheel


def test_extras_pull_no_chat_program_and_no_compiler():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert not [one for names in extras.values() for one in names if "smollm" in one or one.startswith("llm")]


READ_ONLY = """
import sys, warnings
from pathlib import Path
import numba.core.caching as caching

class Nowhere:
    @classmethod
    def from_function(cls, py_func, py_file):
        return None

caching.CacheImpl._locator_classes = [Nowhere]
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from sklearn_sae_encoding._solvers import columns
    import sklearn_sae_encoding.encoder
said = [str(one.message) for one in said if "NUMBA_CACHE_DIR" in str(one.message)]
print(len(said))
"""


def test_a_read_only_installation_works_and_says_once_which_variable_to_set(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", READ_ONLY], capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["1"]
