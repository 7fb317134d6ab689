"""Texts to bands of features and a ridge with a penalty for each, in one call."""

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklearn_sae_encoding._banded_features import BandedFeatureRegressor
from sklearn_sae_encoding._text_union import TextFeatureUnion
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.language_model import as_language_model
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

_CONTENTS = ("sae", "activations")


def make_banded_encoder(
    model,
    layer=None,
    sae=None,
    *,
    sae_id=None,
    content="sae",
    surprisal=True,
    more=None,
    bands=None,
    pooling="mean",
    features=None,
    encoder=None,
    sae_params=None,
    random_state=0,
    n_jobs=None,
    verbose=0,
):
    """Build a banded encoding model: texts in, voxels out, a penalty for each band and voxel.

    The model is a :class:`BandedFeatureRegressor` of two parts::

        features   TextFeatureUnion of
                     sae          LMActivationTransformer -> SAEProjector
                     activations  LMActivationTransformer
                     surprisal    SurprisalTransformer
                     ...          whatever is added
        regressor  BandedRidgeEncoder

    Each branch is a band of its name. Nothing is loaded before ``fit``; the language model reads every text once for
    all branches.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model, as in :func:`make_augmented_encoder`. It is cloned, and told to keep what the parts need.

    layer : int, float or str, default=None
        The block whose output is the content. Needed unless ``content=None``.

    sae : str, path or sae_lens.SAE, default=None
        The sparse autoencoder that reads that layer. None learns one from the texts in ``fit``.

    sae_id : str, default=None
        Which SAE of a release.

    content : {"sae", "activations", None} or sequence of these, default="sae"
        SAE features, the dense activations themselves, both, or nothing.

    surprisal : bool, default=True
        Whether mean surprisal is a band.

    more : dict of str to transformer, default=None
        More bands by name: transformers from texts to columns, such as lengths.

    bands : dict of str to str or sequence of str, default=None
        Other bands than the branches; see :class:`BandedFeatureRegressor`.

    pooling : {"mean", "max", "sum", "last"}, default="mean"
        How the tokens of a text become one row of content.

    features : int, tuple of two int, array of int or of bool, default=None
        Which SAE features to offer. None is all.

    encoder : estimator, default=None
        The regressor, which is cloned. None is ``BandedRidgeEncoder()``. Its `bands` are set in ``fit``.

    sae_params : dict, default=None
        More parameters of the SAEProjector.

    random_state : int, RandomState instance or None, default=0
        Seed of the default encoder's candidates, and of the learning with ``sae=None``.

    n_jobs : int, default=None
        Number of parallel jobs of the default encoder.

    verbose : int, default=0
        1 shows progress, of the language model too.

    Returns
    -------
    model : BandedFeatureRegressor
        Unfitted. ``fit(texts, Y)`` takes `n_texts` texts and responses of shape `(n_texts, n_voxels)`.

    Raises
    ------
    ValueError
        If there is no band, content without a layer, or two bands have a name.

    See Also
    --------
    make_story_features : The bands of stories, for ``RunwiseRegressor(features, BandedRidgeEncoder(), delays=...)``.
    sklearn_sae_encoding.analysis.band_models : The nested models that tell bands apart.

    Examples
    --------
    >>> from sklearn_sae_encoding.pipeline import make_banded_encoder
    >>> model = make_banded_encoder("HuggingFaceTB/SmolLM2-135M-Instruct", layer=15, sae="path/to/sae")
    >>> [name for name, _ in model.features.transformer_list]
    ['sae', 'surprisal']
    """
    contents = [content] if isinstance(content, str) or content is None else list(content)
    contents = [one for one in contents if one is not None]
    if unknown := [one for one in contents if one not in _CONTENTS]:
        raise ValueError(f"content must be of {(*_CONTENTS, None)}, got {unknown[0]!r}.")
    if contents and layer is None:
        raise ValueError(f"content={content!r} needs a layer of the language model: set layer, for example layer=15.")
    language_model = clone(as_language_model(model)).set_params(keep=("surprisal",) if surprisal else ())
    if verbose:
        language_model.set_params(verbose=verbose)
    branches = []
    if "sae" in contents:
        projector = SAEProjector(sae, sae_id, pooling=pooling, features=features, random_state=random_state)
        activations = LMActivationTransformer(language_model, layer)
        steps = [("activations", activations), ("sae", projector.set_params(**(sae_params or {})))]
        branches.append(("sae", Pipeline(steps)))
    if "activations" in contents:
        dense = LMActivationTransformer(language_model, layer, level="text", pooling=pooling)
        branches.append(("activations", dense))
    if surprisal:
        branches.append(("surprisal", SurprisalTransformer(language_model)))
    if repeated := {name for name, _ in branches} & set(more or {}):
        raise ValueError(f"more names the band {sorted(repeated)[0]!r}, which the model has already.")
    branches += list((more or {}).items())
    if not branches:
        raise ValueError("content=None and surprisal=False leave no features. Ask for at least one band.")
    if encoder is None:
        encoder = BandedRidgeEncoder(random_state=random_state, n_jobs=n_jobs, verbose=verbose)
    union = TextFeatureUnion(branches, verbose_feature_names_out=False)
    return BandedFeatureRegressor(union, clone(encoder), bands=bands)
