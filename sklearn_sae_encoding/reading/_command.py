"""The command ``words``: a file of words to one with the predictors of a language model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_PARQUET = (".parquet", ".pq")


def add_arguments(parser):
    """Declare the command's arguments."""
    parser.add_argument("input", type=Path, help="a row a word: .csv, .tsv or .parquet")
    parser.add_argument("output", type=Path, help="where the same rows with more columns go: .csv, .tsv or .parquet")
    parser.add_argument("--model", required=True, help="a name on the Hugging Face hub, a folder or a GGUF file")
    parser.add_argument("--word", default="word", help="column with the word")
    parser.add_argument("--by", default="text", help="column with the name of its text")
    parser.add_argument("--order", default="number", help="column with its number in the text")
    parser.add_argument("--line", default=None, help="column with its line, which spillover does not cross")
    parser.add_argument("--texts", type=Path, default=None, help="a table with the columns of --by and 'running_text'")
    parser.add_argument("--separator", default=" ", help="between words that are put together; '' for Chinese")
    parser.add_argument(
        "--quantities", nargs="+", default=["surprisal"], metavar="NAME", help="surprisal entropy rank probability"
    )
    parser.add_argument("--unit", choices=["nats", "bits"], default="nats", help="of surprisal and entropy")
    parser.add_argument("--no-punctuation", action="store_true", help="leave out punctuation that clings to words")
    parser.add_argument("--frequency", action="store_true", help="add log_frequency, from wordfreq")
    parser.add_argument("--language", default="en", help="of wordfreq's list")
    parser.add_argument("--previous", nargs="*", type=int, default=[], metavar="N", help="add values of N words before")
    parser.add_argument("--memory", default=None, help="folder that keeps what the model says of each text")


def run(arguments):
    """Read, add, write."""
    from sklearn_sae_encoding.language_model import LanguageModel
    from sklearn_sae_encoding.reading._words import add_word_features

    words = _read(arguments.input)
    texts = None
    if arguments.texts is not None:
        texts = _read(arguments.texts).set_index(arguments.by)["running_text"].to_dict()
    table = add_word_features(
        words,
        model=LanguageModel(arguments.model, memory=arguments.memory),
        word=arguments.word,
        by=arguments.by,
        order=arguments.order,
        line=arguments.line,
        texts=texts,
        separator=arguments.separator,
        quantities=tuple(arguments.quantities),
        unit=arguments.unit,
        punctuation=not arguments.no_punctuation,
        frequency="wordfreq" if arguments.frequency else None,
        language=arguments.language,
        previous=tuple(arguments.previous),
    )
    _write(table, arguments.output)


def _read(path):
    if not path.is_file():
        raise OSError(f"There is no file {path}.")
    if path.suffix in _PARQUET:
        return pd.read_parquet(path)
    # "None", "NA" and "null" are words.
    return pd.read_csv(path, sep=_separator(path), keep_default_na=False, na_values=[])


def _write(table, path):
    if path.suffix in _PARQUET:
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, sep=_separator(path), index=False, na_rep="NA")  # as R writes what is missing


def _separator(path):
    kinds = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
    if path.suffix not in kinds:
        raise ValueError(f"Expected a file that ends in .csv, .tsv, .txt or .parquet, got {path.name}.")
    return kinds[path.suffix]
