"""Sphinx configuration: numpydoc API pages, a user guide, and a gallery that is executed at every build."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sklearn_sae_encoding

project = "sklearn-sae-encoding"
author = "the sklearn-sae-encoding developers"
copyright = "2026, " + author
version = release = sklearn_sae_encoding.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.md5", "auto_examples/**/README.rst"]
templates_path = ["_templates"]
autosummary_generate = True
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = project
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "doc_module": ("sklearn_sae_encoding",),
    "backreferences_dir": "api/backreferences",
    "abort_on_example_error": True,
    "show_memory": False,
}
