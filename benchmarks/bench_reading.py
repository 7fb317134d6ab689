"""Mixed models of reading times: seconds and log likelihood of ReadingTimeModel and of statsmodels, in one process.

    python benchmarks/bench_reading.py [--repeats 5]

Provo's log gaze, 125,636 times of 84 readers on 2,688 words. The reference is -66535.9141 for crossed intercepts alone,
checked against a dense evaluation. MixedLM takes crossed intercepts as variance components of one group, whose matrices
are dense: it gets 12 readers and three paragraphs, and both are shown on these. The null competitor is least squares
by numpy, which knows nothing of readers and words.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

from sklearn_sae_encoding.datasets import load_provo
from sklearn_sae_encoding.reading import ReadingTimeModel, exclude_times, join_words

N_PREDICTORS = 20
REFERENCE = -66535.9141


def provo():
    """Provo's times, with the length of the word and random predictors of words."""
    data, rng = load_provo(), np.random.default_rng(0)
    noise = {f"x{i}": rng.normal(size=len(data.words)) for i in range(1, N_PREDICTORS)}
    words = data.words.assign(length=data.words["word"].str.len(), **noise)
    kept = exclude_times(data.times, "gaze", minimum=80, maximum=1500, first_words=1).table
    table = join_words(kept, words)
    return table.assign(log_gaze=np.log(table["gaze"]))


def ours(table, terms):
    """Fit by the library, with its formula and checks."""
    model = ReadingTimeModel(f"log_gaze ~ {terms}").fit(table)
    return model.log_likelihood_, model.converged_


def mixed_lm(table, terms):
    """Fit by statsmodels, as its documentation has crossed intercepts."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    model = MixedLM.from_formula(
        f"log_gaze ~ {terms}",
        groups=np.ones(len(table)),
        vc_formula={"participant": "0 + C(participant)", "item": "0 + C(item)"},
        data=table,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether it converged is in the table
        fitted = model.fit(reml=False)
    return fitted.llf, fitted.converged


def least_squares(table, terms):
    """Solve by numpy alone."""
    columns = [] if terms == "1" else terms.split(" + ")
    X = np.column_stack([np.ones(len(table)), table[columns].to_numpy(dtype=float)])
    residuals = table["log_gaze"] - X @ np.linalg.lstsq(X, table["log_gaze"], rcond=None)[0]
    return float(-0.5 * len(table) * (np.log(2 * np.pi * residuals.var()) + 1)), True


def timed(fit, table, terms, repeats):
    """Median seconds of wall and CPU, the log likelihood, and whether the search ended."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        value, converged = fit(table, terms)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return np.median(walls), np.median(cpus), value, converged


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    table = provo()
    some = table["participant"].isin(pd.unique(table["participant"])[:12]) & table["text"].isin([1, 2, 3])
    small, all_terms = table[some], " + ".join(["length", *(f"x{i}" for i in range(1, N_PREDICTORS))])
    runs = [
        ("ReadingTimeModel", ours, table, "1"),
        ("ReadingTimeModel", ours, table, all_terms),
        ("numpy.linalg.lstsq", least_squares, table, all_terms),
        ("ReadingTimeModel", ours, small, "length"),
        ("MixedLM", mixed_lm, small, "length"),
    ]
    print(f"{'':20}{'times':>9}{'predictors':>12}{'wall s':>9}{'CPU s':>9}{'log likelihood':>18}", flush=True)
    for name, fit, data, terms in runs:
        wall, cpu, value, converged = timed(fit, data, terms, 1 if fit is mixed_lm else repeats)
        n_terms = 0 if terms == "1" else len(terms.split(" + "))
        note = "" if converged else "  not converged"
        print(f"{name:20}{len(data):>9,}{n_terms:>12}{wall:>9.2f}{cpu:>9.2f}{value:>18.4f}{note}", flush=True)
    print(f"reference without predictors: {REFERENCE}")


if __name__ == "__main__":
    main()
