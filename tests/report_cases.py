"""Small models, hostile texts and a reader of pages for the tests of the report."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

HOSTILE = [
    "<script>window.hacked = 1</script>",
    '<img src="x" onerror="window.hacked = 1">',
    '"><svg onload="window.hacked = 1">',
    "</script></style></title><script>window.hacked = 1</script>",
    "<!-- <a href='javascript:window.hacked=1'>click</a>",
    "$body ${script} {{ 7 * 7 }} %s \\ &amp; & &#60;",
    "\x00\x1b[31m \ud83d lone surrogate",
    "\u202eright to left\u202c and 日本語 🧠",
    "A" * 400,
    "<iframe src='https://example.org'></iframe><meta http-equiv=refresh content='0;url=https://example.org'>",
]


NAMES = [f"sae_{i:05d}" for i in range(30)] + ["surprisal_mean"]
FEATURES = feature_table(NAMES, kinds=["sae"] * 30 + ["surprisal"])


def make_features(n_texts=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(1.0, 1.0, (n_texts, 31)) * (rng.random((n_texts, 31)) < 0.3)
    X[:, -1] = rng.standard_normal(n_texts)
    return pd.DataFrame(X, columns=NAMES)


def make_responses(X, n_voxels=12, seed=0):
    rng = np.random.default_rng(seed)
    weights = np.zeros((31, n_voxels))
    for voxel in range(n_voxels):
        weights[rng.choice(30, 3, replace=False), voxel] = rng.choice([-1.0, 1.0], 3)
        weights[-1, voxel] = 0.5 if voxel % 3 else -0.5
    return X.to_numpy() @ weights + 0.3 * rng.standard_normal((len(X), n_voxels)) + 5.0


def given(X):
    """Features that were made before, and what they are."""
    return {"features": X, "feature_table": FEATURES}


def make_texts(n_texts=60):
    return HOSTILE + [f"Sentence number {i} is plain." for i in range(n_texts - len(HOSTILE))]


def make_encoder(**changes):
    return SparseVoxelEncoder(**{"alphas": 12, "eps": 1e-3, "cv": 3, "forced_features": ["surprisal_mean"], **changes})


def make_scores(X, Y, ceiling=None):
    folds = KFold(4, shuffle=True, random_state=0)
    columns = {"surprisal": NAMES[-1:], "SAE + surprisal": NAMES}
    return {
        name: cross_val_voxel_scores(Ridge(), X[chosen], Y, cv=folds, noise_ceiling=ceiling)
        for name, chosen in columns.items()
    }


class Page(HTMLParser):
    """Elements, attributes and visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.open, self.unbalanced = [], [], [], []
        self.cells, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if "style" not in self.open and "script" not in self.open:
            self.text.append(data)
        if "td" in self.open:
            self.cells[-1] += data


def text_of(report):
    return " ".join(" ".join(Page(report.html).text).split())
