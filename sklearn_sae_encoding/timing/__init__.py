"""Word times to scans: runs, resampling, delays, cleaning, and regression run by run."""

from sklearn_sae_encoding.timing._bands import WordsToScans
from sklearn_sae_encoding.timing._cleaning import clean_runs
from sklearn_sae_encoding.timing._delays import RunwiseDelayer
from sklearn_sae_encoding.timing._fmriprep import FmriprepRuns, runs_from_fmriprep
from sklearn_sae_encoding.timing._readers import read_textgrid, read_words
from sklearn_sae_encoding.timing._regressor import RunwiseRegressor
from sklearn_sae_encoding.timing._resampling import words_to_scans
from sklearn_sae_encoding.timing._run import StoryRun
from sklearn_sae_encoding.timing._union import BandUnion

__all__ = [
    "BandUnion",
    "FmriprepRuns",
    "RunwiseDelayer",
    "RunwiseRegressor",
    "StoryRun",
    "WordsToScans",
    "clean_runs",
    "read_textgrid",
    "read_words",
    "runs_from_fmriprep",
    "words_to_scans",
]
