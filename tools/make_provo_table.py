"""Make the word-level table of Provo that ships in datasets/data/provo from the corpus' fixations.

    python tools/make_provo_table.py FOLDER

FOLDER holds `fixations.csv.gz` (a row a fixation on a word: sub, item, fix_num, fix_dur, word_text, wordID) and
`Texts/1.txt` to `Texts/55.txt` of the Provo corpus (Luke and Christianson 2018, osf.io/sjefs, CC BY 4.0). Two texts
differ from the words in the fixations, and four hold characters of an old encoding; both are repaired here.
"""

import argparse
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd

N_TEXTS = 55
TARGET = Path(__file__).parents[1] / "sklearn_sae_encoding" / "datasets" / "data" / "provo"
# Apostrophes and a dash of Mac OS Roman that were read as another encoding; where a text and the words that the eye
# tracker placed differ, the eye tracker's numbering is the one that the times have.
REPAIRS = {
    27: [("doesnÕt", "doesn't")],
    36: [("earth betting Ñ that", "earth -- betting that")],
    45: [("womenÕs", "women's")],
    54: [("bondsÕ", "bonds'")],
    55: [("livres, a large", "livres--a large"), ("profession, writing.", "profession--writing.")],
}


def read_texts(folder):
    texts = {}
    for number in range(1, N_TEXTS + 1):
        text = (folder / f"{number}.txt").read_text(encoding="utf-8").strip()
        for wrong, right in REPAIRS.get(number, []):
            if wrong not in text:
                raise ValueError(f"Text {number} does not contain {wrong!r}: is it another version of the corpus?")
            text = text.replace(wrong, right)
        texts[number] = text
    return texts


def check_words(fixations, texts):
    """Raise if a fixation's word is not the one at its place in the text (quotation marks and dashes apart)."""
    words = {number: text.split() for number, text in texts.items()}
    for number, position, word in fixations[["item", "word_text", "wordID"]].drop_duplicates().itertuples(index=False):
        in_text = words[number][int(position) - 1].replace('"', "")
        if in_text != word and (in_text, word) != ("--", "Ñ"):
            repaired = word.replace("Õ", "'")
            if in_text != repaired:
                raise ValueError(f"Word {position:.0f} of text {number} is {in_text!r}, the fixations say {word!r}.")


def times_of_trial(words, durations):
    """First fixation, gaze, go-past and total time of each fixated word; the first three are 0 without a first pass.

    A word is read in first pass if no later word was fixated before it. Gaze is the time until the eyes leave it,
    go-past the time until they go beyond it, with what was reread on the way.
    """
    total, first_pass = {}, {}
    for word, duration in zip(words, durations, strict=True):
        total[word] = total.get(word, 0) + duration
    furthest = 0
    for start, word in enumerate(words):
        if word <= furthest:
            continue
        furthest = word
        left = next((at for at in range(start, len(words)) if words[at] != word), len(words))
        beyond = next((at for at in range(start, len(words)) if words[at] > word), len(words))
        first_pass[word] = (durations[start], sum(durations[start:left]), sum(durations[start:beyond]))
    return [(word, *first_pass.get(word, (0, 0, 0)), total[word]) for word in sorted(total)]


def make_table(fixations):
    rows = []
    ordered = fixations.sort_values(["sub", "item", "fix_num"], kind="stable")
    for (participant, text), trial in ordered.groupby(["sub", "item"], sort=True):
        twice = int(trial["fix_num"].duplicated().any())
        times = times_of_trial(trial["word_text"].astype(int).tolist(), trial["fix_dur"].tolist())
        rows += [(participant, text, *row, twice) for row in times]
    columns = ["participant", "text", "number", "first", "gaze", "go_past", "total", "read_twice"]
    return pd.DataFrame(rows, columns=columns)


def write_gzip(path, content):
    # No name and no time, so that the same table gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    fixations = pd.read_csv(folder / "fixations.csv.gz", keep_default_na=False)
    texts = read_texts(folder / "Texts")
    check_words(fixations, texts)
    table = make_table(fixations)
    TARGET.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    write_gzip(TARGET / "times.csv.gz", buffer.getvalue().encode())
    # A blank line between texts; the lines of a text are those on the screen.
    (TARGET / "texts.txt").write_text("\n\n".join(texts.values()) + "\n", encoding="utf-8")
    n_words = np.sum([len(text.split()) for text in texts.values()])
    print(f"{len(table)} rows, {table['participant'].nunique()} readers, {n_words} words of {len(texts)} texts")


if __name__ == "__main__":
    main()
