"""What holds for the package as a whole."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_sae_encoding

HEAVY = ("torch", "transformers", "sae_lens", "transformer_lens", "nilearn", "datasets", "matplotlib", "himalaya")


MODULES = [found.name for found in pkgutil.iter_modules(sklearn_sae_encoding.__path__)]
PUBLIC = [f"sklearn_sae_encoding.{name}" for name in MODULES if not name.startswith("_")]


@pytest.mark.parametrize("module", ["sklearn_sae_encoding", *PUBLIC])
def test_importing_a_module_loads_no_heavy_package(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_function_and_class_says_what_it_takes_and_is_on_the_api_page(module):
    module = importlib.import_module(module)
    api = (Path(__file__).parent.parent / "doc" / "api.rst").read_text(encoding="utf-8")
    for name in module.__all__:
        documented = inspect.getdoc(getattr(module, name))
        assert documented, f"{module.__name__}.{name} has no docstring"
        assert f"   {module.__name__}.{name}\n" in api, f"{module.__name__}.{name} is not in doc/api.rst"


def test_the_front_door_offers_what_it_lists_lazily_to_users_and_to_type_checkers():
    source = ast.parse(Path(sklearn_sae_encoding.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == sklearn_sae_encoding._HOMES
    assert sorted(seen) == sorted(sklearn_sae_encoding.__all__)
    assert set(seen) <= set(dir(sklearn_sae_encoding))
    for name, module in seen.items():
        home = importlib.import_module(f"sklearn_sae_encoding.{module}")
        assert getattr(sklearn_sae_encoding, name) is getattr(home, name)


def test_a_name_that_the_front_door_does_not_know_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = sklearn_sae_encoding.Nothing


def test_importing_the_package_alone_loads_nothing_at_all():
    code = (
        "import sys, sklearn_sae_encoding as sse; sse.__all__; print('sklearn' in sys.modules, 'numpy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert run.stdout.split() == ["False", "False"]


def test_the_page_of_a_class_lists_its_methods():
    jinja2 = pytest.importorskip("jinja2")
    folder = Path(__file__).parent.parent / "doc" / "_templates" / "autosummary"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder))
    environment.filters |= {"escape": str, "underline": str}  # sphinx's own
    page = environment.get_template("class.rst")
    for name in ("SparseVoxelEncoder", "SurprisalTransformer", "MaskedTargetRegressor"):
        found = getattr(sklearn_sae_encoding, name)
        methods = ["__init__", *(method for method in dir(found) if callable(getattr(found, method)))]
        shown = page.render(fullname=name, name=name, objname=name, module=found.__module__, methods=methods)
        assert ":members:" in shown
        own = [
            one
            for one in vars(found)
            if not one.startswith(("_", "set_", "get_metadata")) and callable(getattr(found, one))
        ]
        assert len(own) > 1
        assert [method for method in own if f"~{name}.{method}\n" not in f"{shown}\n"] == []
