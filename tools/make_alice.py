"""Make the compact copy of the Alice data set that ships, from the files of its authors.

    python tools/make_alice.py SOURCE

SOURCE is a folder with the files of "Alice fMRI ROI Timecourses" and "Alice fMRI Stimuli" (J. R. Brennan, CC BY 4.0):
`6mm/`, `10mm/`, `sNN-rp_*.txt`, `sNN-rate.txt`, `sNN-sndpwr.txt`, the TextGrid and the text with punctuation. Needs the
`textgrid` extra.

What changes: a constant listener (s33) is left out; time series are rounded to 16 bits of their range (an error of at
most 8e-6 of it); word times to milliseconds; the lines of the text are joined.
"""

import argparse
from pathlib import Path

import numpy as np

from sklearn_sae_encoding.timing import read_textgrid

REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
SIZES = ("6mm", "10mm")
STEPS = 2**16 - 1
OUTPUT = Path(__file__).parent.parent / "sklearn_sae_encoding" / "datasets" / "data" / "alice"


def main(source):
    """Read the source, leave out what is constant, and write three files."""
    listeners = sorted(path.name.split("-")[0] for path in (source / "6mm").glob("s*-timecourses.txt"))
    series = {size: [np.loadtxt(source / size / f"{name}-timecourses.txt") for name in listeners] for size in SIZES}
    constant = [
        name for name, values in zip(listeners, series["6mm"], strict=True) if np.all(np.ptp(values, axis=0) == 0)
    ]
    kept = [i for i, name in enumerate(listeners) if name not in constant]
    print(f"{len(listeners)} listeners, constant and left out: {', '.join(constant)}")

    arrays = {"listeners": np.array([listeners[i] for i in kept]), "regions": np.array(REGIONS)}
    for size in SIZES:
        arrays |= packed(f"responses_{size}", np.array([series[size][i] for i in kept]))
    movement = [np.loadtxt(next(source.glob(f"{listeners[i]}-rp_*.txt"))) for i in kept]
    arrays |= packed("movement", np.array(movement))
    for name, file in (("rate", "rate"), ("sound_power", "sndpwr")):
        every = np.array([np.loadtxt(source / f"{listeners[i]}-{file}.txt") for i in kept])
        median = np.median(every, axis=0)  # the files of the listeners differ by noise in the last digits
        assert np.abs(every - median).max() < 1e-2 * np.ptp(median), f"the listeners' {file} files differ"
        arrays[name] = median.astype(np.float32)
    np.savez_compressed(OUTPUT / "alice.npz", **arrays)

    words = read_textgrid(next(source.glob("*.TextGrid")), tier="word")
    words[["onset", "offset"]] = words[["onset", "offset"]].round(3)
    words.to_csv(OUTPUT / "words.tsv", sep="\t", index=False)
    lines = (source / "alice_chapter1_punctuated.txt").read_text(encoding="utf-8").split("\n")
    (OUTPUT / "text.txt").write_text(" ".join(line.strip() for line in lines if line.strip()) + "\n", encoding="utf-8")
    for path in sorted(OUTPUT.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def packed(name, values):
    """Round series of shape (n_listeners, n_scans, n) to 16 bits between their own minimum and maximum."""
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    step = (high - low) / STEPS
    codes = np.rint((values - low) / np.where(step > 0, step, 1)).astype(np.uint16)
    # Differences of neighbouring scans are small, so that they compress well; they wrap around, and back.
    codes[:, 1:] = np.diff(codes, axis=1)
    return {name: codes, f"{name}_low": low[:, 0], f"{name}_step": step[:, 0]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    main(parser.parse_args().source)
