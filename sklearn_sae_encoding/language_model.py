"""Which language model, how texts are put to it, and what a pass keeps."""

from __future__ import annotations

import os
from typing import ClassVar

from sklearn.base import BaseEstimator

from sklearn_sae_encoding._cloning import clone_sharing
from sklearn_sae_encoding._lm.extract import Keep, Pass, Wanted, extract
from sklearn_sae_encoding._lm.loading import release_models
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding._lm.store import forget_texts, open_store
from sklearn_sae_encoding._lm.texts import Sample
from sklearn_sae_encoding._validation import check_parameters, having, integer, one_of, verbosity

__all__ = ["LanguageModel", "as_language_model", "forget_texts", "release_models"]

NO_RESULT = ("batch_tokens", "memory", "verbose")  # parameters that change no result
_KEPT = ("surprisal",)


class LanguageModel(BaseEstimator):
    """A causal language model by name: which one, how texts are put to it, and what a pass keeps for others.

    All estimators that run a language model hold one, as their `model`; a string or path in its place is short for
    ``LanguageModel(string)``. Nothing is loaded before an estimator needs it. Weights are loaded once a process for
    equal models, from any number of threads, and each text runs once: what is known of it is looked up.

    Parameters
    ----------
    model : str, path or transformers causal model
        A name on the Hugging Face hub, a local folder, a GGUF file, or a loaded model, which is taken as it is and
        shared by clones. Weights are read from safetensors or GGUF files only, and no code that comes with a model is
        run. A named model is never pickled with an estimator. All numbers of a loaded model are read at each call to
        see whether it changed. With forward hooks of its own, whose doings cannot be seen, it runs each time and
        nothing is kept.

    revision : str, default=None
        Commit, tag or branch of a model on the hub. None is its main branch; a commit pins it. What a branch stands for
        is asked once per process.

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

    bos_token : str or None, default="auto"
        The beginning-of-sequence token that the model sees before each text. "auto" is the one that it was pretrained
        with: what its tokenizer declares, but for models that are known to declare a token of their chat template
        instead; where that is likely of another one, a warning says so. None puts none, and the first token of a text
        has no surprisal then. Its own activation is dropped, and it has no surprisal.

    context : str or int, default=None
        Text that stands before every text, with a space between them. A number names the column of a table ``X``,
        counted from 0, that holds the context of each text, such as the sentences before it; an empty one is none. Only
        the text itself enters the result.

    window : int, default=None
        Number of tokens that the model sees at once, the beginning-of-sequence token included. Longer texts run in
        overlapping windows, in which every token has the left context of the first window that it is in. None is the
        model's longest context.

    stride : int, default=None
        Tokens from one window to the next: every token but the first ones has at least ``window - stride`` tokens
        of context (one less with a beginning-of-sequence token). None is half a window.

    keep : tuple of {"surprisal"}, default=("surprisal",)
        What every pass computes and keeps, whoever asks for it, so that activations and surprisal of a text come from
        one pass. With an empty one, layers above the highest one that is read are not computed. The ``make_*``
        functions set it from the parts that they build.

    keep_layers : {"passed", "asked"}, default="passed"
        Whether a pass keeps in memory the activations of all layers that it goes through, as long as they take little
        room (512 MiB a call), so that a search over layers runs each text once, or only those that are read. On disk it
        writes only what is asked for.

    batch_tokens : int, default=1024
        Tokens that run at once, padding included. Texts of similar length run together. Raise it on a GPU. The
        results do not depend on it, but for rounding.

    blocks_path : str, default=None
        Where the model keeps its list of decoder blocks, such as "model.layers". None looks where the known families
        keep it. Surprisal alone needs none.

    memory : str, path or joblib.Memory, default=None
        Folder that keeps what the model says of each text, for later runs and other processes. None keeps it in this
        process's memory, up to 2 GiB.

    verbose : int, default=0
        1 shows a progress bar while the model runs.

    See Also
    --------
    sklearn_sae_encoding.activations.LMActivationTransformer : Texts to activations.
    sklearn_sae_encoding.surprisal.SurprisalTransformer : Texts to surprisal.

    Notes
    -----
    Two are equal if they name the same model and put texts to it and keep things the same way; `batch_tokens`, `memory`
    and `verbose`, which change no result, don't count. :func:`sklearn.base.clone` shares a loaded model and tokenizer.
    Parameters are reached through an estimator, as ``model__bos_token``. A clone of a ``FeatureUnion`` holds two where
    the union held one in both branches, so that a grid over a parameter of it names both branches.

    Examples
    --------
    >>> from sklearn_sae_encoding.activations import LMActivationTransformer
    >>> from sklearn_sae_encoding.language_model import LanguageModel
    >>> gpt2 = LanguageModel("gpt2", bos_token="<|endoftext|>", dtype="bfloat16")
    >>> gpt2 == LanguageModel("gpt2", bos_token="<|endoftext|>", dtype="bfloat16", batch_tokens=8192)
    True
    >>> LMActivationTransformer(gpt2, layer=6).set_params(model__bos_token=None).model
    LanguageModel(bos_token=None, dtype='bfloat16', model='gpt2')
    """

    # Objects of values are compared by what they say, and change.
    __hash__ = None

    _allowed: ClassVar[dict] = {
        "model": (str, os.PathLike, having("forward")),
        "revision": (str, None),
        "tokenizer": (str, os.PathLike, having("convert_ids_to_tokens"), None),
        "weights": (one_of("pretrained", "random"),),
        "random_state": (integer(0),),
        "dtype": (one_of("float32", "float16", "bfloat16", "float64", "auto"),),
        "device": (str,),
        "bos_token": (str, None),
        "context": (str, integer(0), None),
        "window": (integer(2), None),
        "stride": (integer(1), None),
        "keep": (tuple, list),
        "keep_layers": (one_of("passed", "asked"),),
        "batch_tokens": (integer(1),),
        "blocks_path": (str, None),
        "memory": (str, os.PathLike, having("cache"), None),
        "verbose": (verbosity,),
    }

    def __init__(
        self,
        model,
        *,
        revision=None,
        tokenizer=None,
        weights="pretrained",
        random_state=0,
        dtype="float32",
        device="cpu",
        bos_token="auto",
        context=None,
        window=None,
        stride=None,
        keep=("surprisal",),
        keep_layers="passed",
        batch_tokens=1024,
        blocks_path=None,
        memory=None,
        verbose=0,
    ):
        self.model = model
        self.revision = revision
        self.tokenizer = tokenizer
        self.weights = weights
        self.random_state = random_state
        self.dtype = dtype
        self.device = device
        self.bos_token = bos_token
        self.context = context
        self.window = window
        self.stride = stride
        self.keep = keep
        self.keep_layers = keep_layers
        self.batch_tokens = batch_tokens
        self.blocks_path = blocks_path
        self.memory = memory
        self.verbose = verbose

    @property
    def name(self) -> str:
        """The name people know the model by: the hub's, the folder's, the file's, or the object's."""
        return source_of(self).name

    def __eq__(self, other):
        if not isinstance(other, LanguageModel):
            return NotImplemented
        kept = set(self.keep) == set(other.keep) and self.keep_layers == other.keep_layers
        return kept and pass_of(self).same_as(pass_of(other))

    def __sklearn_clone__(self):
        # Weights are read only: copying them for every fold would be waste.
        return clone_sharing(self, ("model", "tokenizer"))


def as_language_model(model) -> LanguageModel:
    """Return a LanguageModel as it is, and of a name, path or loaded model the LanguageModel that it is short for.

    Parameters
    ----------
    model : LanguageModel, str, path or transformers causal model
        What stands in a `model` parameter.

    Returns
    -------
    LanguageModel

    Examples
    --------
    >>> from sklearn_sae_encoding.language_model import as_language_model
    >>> as_language_model("gpt2")
    LanguageModel(model='gpt2')
    """
    return model if isinstance(model, LanguageModel) else LanguageModel(model)


def check_language_model(model: LanguageModel) -> None:
    """Refuse parameters that cannot be."""
    check_parameters(model, model._allowed)
    for quantity in model.keep:
        check_parameters("LanguageModel", {"keep": (one_of(*_KEPT),)}, values={"keep": quantity})


def source_of(model: LanguageModel) -> ModelSource:
    """Which weights and which tokenizer are meant."""
    return ModelSource(
        model=_without_path(model.model),
        revision=model.revision,
        tokenizer=_without_path(model.tokenizer),
        dtype=model.dtype,
        device=model.device,
        weights=model.weights,
        seed=model.random_state,
        blocks_path=model.blocks_path,
    )


def pass_of(model: LanguageModel) -> Pass:
    """How texts are put to it."""
    return Pass(source_of(model), model.bos_token, model.context, model.window, model.stride)


def bos_token_of(model: LanguageModel) -> str:
    """The token that stands before every text, ``""`` for none; of a named model, its tokenizer is read for that."""
    bos = pass_of(model).find_bos()
    return "" if bos is None else bos.token


def records_of(model: LanguageModel, samples: list[Sample], wanted: Wanted) -> list[dict]:
    """What the model says of every text, looked up or run."""
    return extract(
        pass_of(model),
        samples,
        wanted,
        Keep(surprisal="surprisal" in model.keep, passed_layers=model.keep_layers == "passed"),
        open_store(model.memory),
        max_tokens=model.batch_tokens,
        verbose=model.verbose,
    )


def _without_path(given):
    return os.fspath(given) if isinstance(given, os.PathLike) else given
