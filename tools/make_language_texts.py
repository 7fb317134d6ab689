"""Make the compact texts of three languages that ship with the package, from Mozilla Common Voice (CC0 1.0).

    python tools/make_language_texts.py FOLDER

FOLDER has `en.txt`, `fr.txt` and `zh.txt` (or `.txt.gz`), a sentence a line: `server/data/en/sentence-collector.txt`,
`server/data/fr/gutenberg.txt`, and those of `zh-CN` and `zh-TW` in simplified characters, all of mozilla/voice-web.
"""

import argparse
import gzip
import unicodedata
from pathlib import Path

import numpy as np

N_SENTENCES = 600
LENGTHS = {"en": (30, 100), "fr": (30, 100), "zh": (10, 40)}  # characters
OUTPUT = Path(__file__).parents[1] / "sklearn_sae_encoding" / "datasets" / "data" / "languages"


def read(folder, language):
    """Read the sentences of one language."""
    plain, packed = folder / f"{language}.txt", folder / f"{language}.txt.gz"
    text = plain.read_text(encoding="utf-8") if plain.exists() else gzip.decompress(packed.read_bytes()).decode("utf-8")
    return [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines()]


def choose(sentences, shortest, longest, seed=0):
    """Draw sentences of middling length that end as sentences do, in the order of the file."""
    fit = [s for s in dict.fromkeys(sentences) if shortest <= len(s) <= longest and s[-1] in ".!?。！？"]
    drawn = np.sort(np.random.default_rng(seed).choice(len(fit), N_SENTENCES, replace=False))
    return [fit[place] for place in drawn]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    lines = ["language\ttext"]
    for language, (shortest, longest) in LENGTHS.items():
        lines += [f"{language}\t{text}" for text in choose(read(folder, language), shortest, longest)]
    # Without a time in its head, the same sentences give the same file.
    packed = gzip.compress(("\n".join(lines) + "\n").encode("utf-8"), mtime=0)
    (OUTPUT / "texts.tsv.gz").write_bytes(packed)
    print(f"{len(lines) - 1} sentences, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
