"""The text of what the docstrings of all transformers share that run a language model."""

from __future__ import annotations

import inspect

_MODEL = """\
model : str, path or transformers causal model
    A name on the Hugging Face hub, a local folder, a GGUF file, or a loaded model, which is taken as it is and
    shared by clones. Weights are read from safetensors or GGUF files only, and no code that comes with a model is
    run. A named model is loaded once per process, whatever the number of estimators, and never pickled with one.
    All numbers of a loaded model are read at each call to see whether it changed. With forward hooks of its own,
    whose doings cannot be seen, it runs each time and nothing is kept."""

_SETTINGS = """\
revision : str, default=None
    Commit, tag or branch of a model on the hub. None is its main branch; a commit pins it. What a branch stands for is
    asked once per process.

tokenizer : str, path or transformers tokenizer, default=None
    Tokenizer, or its name or folder. None is the model's own; needed if `model` is an object.

weights : {"pretrained", "random"}, default="pretrained"
    "random" keeps the architecture of a named model and draws the weights anew: the untrained control.

random_state : int, default=0
    Seed of random weights.

dtype : {"float32", "bfloat16", "float16", "float64", "auto"}, default="float32"
    Precision of the weights and of the computation; "auto" is the one they are stored in, and an object keeps its
    own. Activations are given out in float32, and probabilities computed in it.

device : str, default="cpu"
    Where the model runs, such as "cuda". An object stays where it is.

prepend_bos : bool, default=True
    Whether the model sees a beginning-of-sequence token before each text. Its own activation is dropped, and it has
    no surprisal; without it the first token has none either. Special tokens are never part of the result.

bos_token : str, default=None
    The token to prepend. None is the tokenizer's own; for a tokenizer without one it must be named, or
    `prepend_bos` be False.

context : str or int, default=None
    Text that stands before every text, with a space between them. A number names the column of a table ``X``, counted
    from 0, that holds the context of each text, such as the sentences before it; an empty one is none. Only the text
    itself enters the result.

window : int, default=None
    Number of tokens that the model sees at once, the beginning-of-sequence token included. Longer texts run in
    overlapping windows, in which every token has the left context of the first window that it is in. None is the
    model's longest context.

stride : int, default=None
    Tokens from one window to the next: every token but the first ones has at least ``window - stride`` tokens
    of context (one less with a beginning-of-sequence token). None is half a window.

batch_tokens : int, default=1024
    Tokens that run at once, padding included. Texts of similar length run together. Raise it on a GPU. The
    results do not depend on it, but for rounding.

blocks_path : str, default=None
    Where the model keeps its list of decoder blocks, such as "model.layers". None looks where the known families
    keep it.

memory : str, path or joblib.Memory, default=None
    Folder that keeps what the model says of each text, for later runs and other processes. None keeps it in this
    process's memory, up to 2 GiB.

verbose : int, default=0
    1 shows a progress bar while the model runs."""

_ATTRIBUTES = """\
n_layers_ : int
    Number of decoder blocks of the model.

n_features_in_ : int
    Number of columns of the texts: 1 for a list.

feature_names_in_ : ndarray of str
    Names of the columns, if ``X`` in ``fit`` was a DataFrame."""

_PLACES = {"%(model)s": _MODEL, "%(settings)s": _SETTINGS, "%(attributes)s": _ATTRIBUTES}


def with_shared_parameters(cls):
    """Put the shared text where the docstring of `cls` names it. Signatures stay as they are written."""
    if cls.__doc__:  # there is none under python -OO
        documentation = inspect.cleandoc(cls.__doc__)
        for place, text in _PLACES.items():
            documentation = documentation.replace(place, text)
        cls.__doc__ = documentation
    return cls
