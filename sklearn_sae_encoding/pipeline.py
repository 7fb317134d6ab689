"""The whole model in one call: texts to voxels."""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

__all__ = ["make_augmented_encoder", "make_published_encoder"]

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
    revision=None,
    device="cpu",
    memory=None,
    lm_params=None,
    sae_params=None,
    random_state=0,
    n_jobs=None,
    verbose=0,
):
    """Build an Augmented Sparse Encoding Model: texts in, voxels out.

    The model is a :class:`~sklearn.pipeline.Pipeline` of two named steps::

        features  FeatureUnion of
                    content    LMActivationTransformer -> SAEProjector
                    surprisal  SurprisalTransformer -> StandardScaler   (the last column)
        encoder   SparseVoxelEncoder

    Nothing is loaded before ``fit``. The language model is loaded once and reads every text once, for both
    branches and for all clones of the pipeline. Surprisal is standardised with the mean and standard deviation of
    the texts in ``fit``; SAE features keep their own scale.

    Parameters
    ----------
    model : str, path or transformers.PreTrainedModel
        The language model: a name on the Hugging Face hub, a local folder, a GGUF file, or a loaded model.
        See :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.

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
        The regressor. None is the published one, :func:`make_published_encoder`. It is cloned.

    revision : str, default=None
        Commit, tag or branch of the model on the hub.

    device : str, default="cpu"
        Where the language model and the SAE run.

    memory : str, path or joblib.Memory, default=None
        Where what the language model says of each text is kept between processes. None keeps it in memory.

    lm_params : dict, default=None
        More parameters of both transformers that run the language model, such as ``{"tokenizer": tokenizer}`` for a
        loaded model, ``{"prepend_bos": False}`` for one without a beginning-of-sequence token, or ``{"dtype":
        "bfloat16"}``.

    sae_params : dict, default=None
        More parameters of the SAEProjector, such as ``{"revision": commit}`` or ``{"n_features": 1024, "k": 16}``.

    random_state : int, RandomState instance or None, default=0
        Seed of the learning with ``sae=None``. An int learns the same SAE from the same texts.

    n_jobs : int, default=None
        Number of parallel jobs of the default encoder. None is 1.

    verbose : int, default=0
        1 shows progress.

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
    lm = {"revision": revision, "device": device, "memory": memory, "verbose": verbose, **(lm_params or {})}
    branches = []
    if content == "sae":
        activations = LMActivationTransformer(model, layer, **lm)
        projector = SAEProjector(
            sae, sae_id, pooling=pooling, features=features, device=device, random_state=random_state
        ).set_params(**(sae_params or {}))
        branches.append(("content", Pipeline([("activations", activations), ("sae", projector)])))
    elif content == "activations":
        branches.append(("content", LMActivationTransformer(model, layer, pooling=pooling, **lm)))
    if surprisal:
        steps = [("surprisal", SurprisalTransformer(model, **lm)), ("scale", StandardScaler())]
        branches.append(("surprisal", Pipeline(steps)))
    if encoder is None:
        encoder = make_published_encoder(surprisal, n_jobs=n_jobs, verbose=verbose)
    union = FeatureUnion(branches, verbose_feature_names_out=False)
    return Pipeline([("features", union), ("encoder", clone(encoder))])


def _check_choices(content, surprisal, layer):
    if content not in CONTENTS:
        raise ValueError(f"content must be one of {CONTENTS}, got {content!r}.")
    if content is None and not surprisal:
        raise ValueError("content=None and surprisal=False leave no features. Ask for at least one of them.")
    if content is not None and layer is None:
        raise ValueError(f"content={content!r} needs a layer of the language model: set layer, for example layer=15.")


def make_published_encoder(surprisal=True, *, n_jobs=None, verbose=0):
    """Build the encoder of the published protocol, for features with surprisal in the last column.

    A lasso with ``alphas=np.logspace(-2, 0, 10)`` chosen by five contiguous folds among the 8,000 features with the
    largest F statistic, then a ridge regression on the selected features and surprisal, its penalty chosen by
    leave-one-out.

    Parameters
    ----------
    surprisal : bool, default=True
        Whether the last feature is surprisal, which every voxel's model contains.

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
    >>> make_published_encoder().set_params(alphas=30).get_params()["refit"]  # other penalties, the rest as published
    'ridge'
    """
    return SparseVoxelEncoder(
        alphas=np.logspace(-2, 0, 10),
        screening=8000,
        forced_features=[-1] if surprisal else None,
        refit="ridge",
        n_jobs=n_jobs,
        verbose=verbose,
    )
