"""What the parameters of a banded ridge may be."""

import os

from .._validation import array_like, boolean, having, integer, one_of, random_state, real, splitter, verbosity

ALLOWED = {
    "alphas": (integer(1), real(0, closed="neither"), array_like),
    "candidates": (integer(1), array_like),
    "concentration": (real(0, closed="neither"), array_like),
    "search": (one_of("random", "gradient"),),
    "n_steps": (integer(1),),
    "cv": (splitter,),
    "scale": (one_of("columns", "runs"), None),
    "form": (one_of("auto", "kernel", "primal"),),
    "fit_intercept": (boolean,),
    "keep": (one_of("weights", "penalties"),),
    "random_state": (random_state,),
    "max_memory": (real(0, closed="neither"), None),
    "block_size": (integer(1), one_of("auto")),
    "n_jobs": (integer(), None),
    "memory": (str, os.PathLike, having("cache"), None),
    "verbose": (verbosity,),
}
