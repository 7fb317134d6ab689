"""Runs to bands of features, as a language model reads the story."""

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import as_language_model
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import BandUnion, WordsToScans

_CONTENTS = ("sae", "activations", None)


def make_story_features(
    model,
    layer=None,
    sae=None,
    *,
    sae_id=None,
    content="sae",
    surprisal=True,
    rate=True,
    more=None,
    pooling="mean",
    features=None,
    method="lanczos",
    window=3,
    cutoff=None,
    word_time="middle",
    hrf_model="spm",
    sae_params=None,
    random_state=0,
    verbose=0,
):
    """Build the features of stories: a list of runs in, a list of arrays of shape `(n_scans_i, width)` out.

    They are a :class:`~sklearn_sae_encoding.timing.BandUnion` of up to three bands and whatever is added::

        sae        words in their story -> LMActivationTransformer -> SAEProjector -> scans   (or `activations`)
        surprisal  words in their story -> SurprisalTransformer -> scans
        rate       words -> scans, convolved with a haemodynamic response

    The language model reads each story as a whole, so that every word is read after all that was heard before it, in
    overlapping windows where the story is longer than its context. SAE features are made of each token and then pooled
    over the tokens of a word. The first two bands are resampled and want delays; the word rate is convolved already and
    wants the delay 0.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model, as in :func:`make_augmented_encoder`. It is cloned, and told to keep what the bands need of
        one pass.

    layer : int, float or str, default=None
        The block whose output is the content. Needed unless ``content=None``.

    sae : str, path or sae_lens.SAE, default=None
        The sparse autoencoder that reads that layer. None learns one from the stories in ``fit``.

    sae_id : str, default=None
        Which SAE of a release.

    content : {"sae", "activations", None}, default="sae"
        SAE features, the dense activations themselves, or nothing. The band has this name.

    surprisal : bool, default=True
        Whether word surprisal, in nats, is a band.

    rate : bool, default=True
        Whether the word rate is a band.

    more : dict of str to transformer, default=None
        More bands by name, such as ``{"sound": WordsToScans(table="sound_power")}``.

    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How the tokens of a word become one row of content.

    features : int, tuple of two int, array of int or of bool, default=None
        Which SAE features to offer. None is all.

    method, window, cutoff, word_time : default="lanczos", 3, None, "middle"
        How words of content and surprisal become scans, as in :class:`~sklearn_sae_encoding.timing.WordsToScans`.

    hrf_model : {"spm", "glover"}, default="spm"
        The response that the word rate is convolved with.

    sae_params : dict, default=None
        More parameters of the SAEProjector.

    random_state : int, RandomState instance or None, default=0
        Seed of the learning with ``sae=None``.

    verbose : int, default=0
        1 shows the progress of the language model.

    Returns
    -------
    features : BandUnion
        Unfitted, for :class:`~sklearn_sae_encoding.timing.RunwiseRegressor`. Parameters are reached by band:
        ``sae__cutoff``, ``sae__features__activations__layer``.

    Raises
    ------
    ValueError
        If no band is asked for, or content without a layer.

    Examples
    --------
    >>> from sklearn_sae_encoding.pipeline import make_story_features
    >>> features = make_story_features("HuggingFaceTB/SmolLM2-135M-Instruct", layer=15, sae="path/to/sae")
    >>> [name for name, _ in features.transformer_list]
    ['sae', 'surprisal', 'rate']
    """
    if content not in _CONTENTS:
        raise ValueError(f"content must be one of {_CONTENTS}, got {content!r}.")
    if content is not None and layer is None:
        raise ValueError(f"content={content!r} needs a layer of the language model: set layer, for example layer=15.")
    language_model = clone(as_language_model(model)).set_params(keep=("surprisal",) if surprisal else ())
    if verbose:
        language_model.set_params(verbose=verbose)
    to_scans = {"method": method, "window": window, "cutoff": cutoff, "word_time": word_time}
    bands = []
    if content == "sae":
        projector = SAEProjector(sae, sae_id, pooling=pooling, features=features, random_state=random_state)
        steps = [
            ("activations", LMActivationTransformer(language_model, layer)),
            ("sae", projector.set_params(**(sae_params or {}))),
        ]
        bands.append(("sae", WordsToScans(Pipeline(steps), **to_scans)))
    elif content == "activations":
        dense = LMActivationTransformer(language_model, layer, level="text", pooling=pooling)
        bands.append(("activations", WordsToScans(dense, **to_scans)))
    if surprisal:
        by_word = SurprisalTransformer(language_model, over="word", pooling="sum")
        bands.append(("surprisal", WordsToScans(by_word, **to_scans)))
    if rate:
        bands.append(("rate", WordsToScans("rate", method="hrf", word_time="offset", hrf_model=hrf_model)))
    bands += list((more or {}).items())
    if not bands:
        raise ValueError("content=None, surprisal=False and rate=False leave no features. Ask for at least one band.")
    return BandUnion(bands)
