"""The whole model in one call: texts to voxels, and stories to bands of features."""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding._banded_features import BandedFeatureRegressor
from sklearn_sae_encoding._make_banded import make_banded_encoder
from sklearn_sae_encoding._story_features import make_story_features
from sklearn_sae_encoding._text_union import TextFeatureUnion
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import as_language_model
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

__all__ = [
    "PUBLISHED_ALPHAS",
    "BandedFeatureRegressor",
    "TextFeatureUnion",
    "make_augmented_encoder",
    "make_banded_encoder",
    "make_published_encoder",
    "make_story_features",
]

# The penalties of arXiv 2606.06857, for standardised responses. They assume features of the scale of its SAEs: with
# features 100 times as large, every voxel takes the largest penalty.
PUBLISHED_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 0, 10))

CONTENTS = ("sae", "activations", None)


def make_augmented_encoder(
    model,
    layer=None,
    sae=None,
    *,
    sae_id=None,
    content="sae",
    surprisal=True,
    pooling="mean",
    features=None,
    encoder=None,
    sae_params=None,
    random_state=0,
    n_jobs=None,
    verbose=0,
):
    """Build an Augmented Sparse Encoding Model: texts in, voxels out.

    The model is a :class:`~sklearn.pipeline.Pipeline` of two named steps::

        features  TextFeatureUnion of
                    content    LMActivationTransformer -> SAEProjector
                    surprisal  SurprisalTransformer -> StandardScaler   (the last column)
        encoder   SparseVoxelEncoder

    Nothing is loaded before ``fit``. The language model is loaded once and reads every text once, for both branches,
    which hold equal LanguageModels, and for all clones of the pipeline. Surprisal is standardised with the mean and
    standard deviation of the texts in ``fit``; SAE features keep their own scale.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model: a name on the Hugging Face hub, a local folder or a GGUF file, or a
        :class:`~sklearn_sae_encoding.language_model.LanguageModel`, which says how texts are put to it, where it runs
        and where what it says is kept. It is cloned, and told to keep what the parts below need of one pass.

    layer : int, float or str, default=None
        The block whose output is the content. Needed unless ``content=None``.

    sae : str, path or sae_lens.SAE, default=None
        The sparse autoencoder that reads that layer: a sae-lens release (with ``sae_id``), a local folder or a
        loaded SAE. None learns a Matryoshka SAE from the texts in ``fit``.
        See :class:`~sklearn_sae_encoding.sae.SAEProjector`.

    sae_id : str, default=None
        Which SAE of a release.

    content : {"sae", "activations", None}, default="sae"
        What stands beside surprisal: SAE features, the dense activations themselves (pooled, the usual baseline),
        or nothing (the surprisal-only model).

    surprisal : bool, default=True
        Whether mean surprisal is a feature. It is the last column and is always kept by the encoder.

    pooling : {"mean", "max", "sum", "last"}, default="mean"
        How the tokens of a text become one row. SAE features are pooled after encoding each token.

    features : int, tuple of two int, array of int or of bool, default=None
        Which SAE features to offer: a prefix, a Matryoshka bin ``(lo, hi)``, indices or a mask. None is all.

    encoder : estimator, default=None
        The regressor, which is cloned. None is ``make_published_encoder(alphas=30)``: the published protocol, but with
        30 penalties relative to each voxel's own largest one, so that the scale of the features doesn't matter.
        :func:`make_published_encoder` has the published penalties.

    sae_params : dict, default=None
        More parameters of the SAEProjector, such as ``{"device": "cuda"}`` or ``{"n_features": 1024, "k": 16}``.

    random_state : int, RandomState instance or None, default=0
        Seed of the learning with ``sae=None``. An int learns the same SAE from the same texts.

    n_jobs : int, default=None
        Number of parallel jobs of the default encoder. None is 1.

    verbose : int, default=0
        1 shows progress, of the language model too.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Unfitted. ``fit(texts, Y)`` takes `n_texts` texts and responses of shape `(n_texts, n_voxels)`.

    Raises
    ------
    ValueError
        If neither content nor surprisal is asked for, or content without a layer.

    See Also
    --------
    sklearn_sae_encoding.metrics.cross_val_voxel_scores : Cross-validated score of every voxel.

    References
    ----------
    Lepori, Kay and Tuckute, "Interpreting Brain Responses to Language with Sparse Features from Language Models",
    arXiv:2606.06857.

    Examples
    --------
    >>> from sklearn_sae_encoding.pipeline import make_augmented_encoder
    >>> model = make_augmented_encoder("HuggingFaceTB/SmolLM2-135M-Instruct", layer=15, sae="path/to/sae")
    >>> list(model.named_steps)
    ['features', 'encoder']
    >>> [name for name, _ in model.named_steps["features"].transformer_list]
    ['content', 'surprisal']
    """
    _check_choices(content, surprisal, layer)
    language_model = _keeping(model, surprisal, verbose)
    branches = []
    if content == "sae":
        activations = LMActivationTransformer(language_model, layer)
        projector = SAEProjector(sae, sae_id, pooling=pooling, features=features, random_state=random_state).set_params(
            **(sae_params or {})
        )
        branches.append(("content", Pipeline([("activations", activations), ("sae", projector)])))
    elif content == "activations":
        branches.append(("content", LMActivationTransformer(language_model, layer, level="text", pooling=pooling)))
    if surprisal:
        steps = [("surprisal", SurprisalTransformer(language_model)), ("scale", StandardScaler())]
        branches.append(("surprisal", Pipeline(steps)))
    if encoder is None:
        encoder = make_published_encoder(surprisal, alphas=30, n_jobs=n_jobs, verbose=verbose)
    union = TextFeatureUnion(branches, verbose_feature_names_out=False)
    return Pipeline([("features", union), ("encoder", clone(encoder))])


def _keeping(model, surprisal, verbose):
    """One LanguageModel for all branches, which keeps of a pass what the others need."""
    language_model = clone(as_language_model(model))
    if verbose:
        language_model.set_params(verbose=verbose)
    return language_model.set_params(keep=("surprisal",) if surprisal else ())


def _check_choices(content, surprisal, layer):
    if content not in CONTENTS:
        raise ValueError(f"content must be one of {CONTENTS}, got {content!r}.")
    if content is None and not surprisal:
        raise ValueError("content=None and surprisal=False leave no features. Ask for at least one of them.")
    if content is not None and layer is None:
        raise ValueError(f"content={content!r} needs a layer of the language model: set layer, for example layer=15.")


def make_published_encoder(surprisal=True, *, alphas=PUBLISHED_ALPHAS, n_jobs=None, verbose=0):
    """Build the encoder of the published protocol, for features with surprisal in the last column.

    A lasso with the penalties ``PUBLISHED_ALPHAS``, ``np.logspace(-2, 0, 10)``, chosen by five contiguous folds among
    the 8,000 features with the largest F statistic, then a ridge regression on the selected features and surprisal, its
    penalty chosen by leave-one-out.

    Parameters
    ----------
    surprisal : bool, default=True
        Whether the last feature is surprisal, which every voxel's model contains.

    alphas : int or array-like, default=PUBLISHED_ALPHAS
        The published penalties suit features of the scale of the published SAEs. For others give a number of penalties,
        such as 30, for a grid relative to each voxel's own largest one; ``fit`` warns where voxels end up at an end of
        the penalties given.

    n_jobs, verbose : int
        As in :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`.

    Returns
    -------
    encoder : SparseVoxelEncoder
        Unfitted.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857.

    Examples
    --------
    >>> from sklearn_sae_encoding.pipeline import make_published_encoder
    >>> make_published_encoder(alphas=30)  # other penalties, the rest as published
    SparseVoxelEncoder(forced_features=[-1], refit='ridge', screening=8000)
    """
    return SparseVoxelEncoder(
        alphas=alphas,
        screening=8000,
        forced_features=[-1] if surprisal else None,
        refit="ridge",
        n_jobs=n_jobs,
        verbose=verbose,
    )
