"""Token activations to SAE features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from sklearn_sae_encoding import _validation as allow
from sklearn_sae_encoding._cloning import clone_sharing
from sklearn_sae_encoding._containers import RowsInContainer
from sklearn_sae_encoding._sae.arrays import SAEArrays
from sklearn_sae_encoding._sae.columns import check_reconstruction, is_transcoder, names_of, page_of, side_by_side
from sklearn_sae_encoding._sae.conversion import convert_sae
from sklearn_sae_encoding._sae.encoding import Encoder, decode, normalises_tokens, pooled_features
from sklearn_sae_encoding._sae.inputs import check_activations, check_belongs, check_finite, checked_texts, is_texts
from sklearn_sae_encoding._sae.loading import load_sae
from sklearn_sae_encoding._sae.matching import Origin, metadata_of
from sklearn_sae_encoding._sae.selection import bins_of, matryoshka_widths, selected_features
from sklearn_sae_encoding._sae.tables import features_of_tokens, features_of_words
from sklearn_sae_encoding._sae.training import plan_for, train_matryoshka
from sklearn_sae_encoding._tokens.pooling import POOLINGS
from sklearn_sae_encoding.tokens import TokenTable

__all__ = ["SAEProjector", "convert_sae"]


class SAEProjector(RowsInContainer, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Encode token activations with a sparse autoencoder [1]_, and pool the features of each text or word.

    Every token is encoded on its own, then pooled: ``pool_t encode(x_t)``, with ``t`` over the tokens of a text.
    Averaging activations and then encoding would give other features.

    Parameters
    ----------
    sae : str, path-like, sae_lens.SAE or None, default=None
        The SAE: a release that sae-lens knows, or a hub repository, together with `sae_id`; a local folder that holds
        ``cfg.json`` and ``sae_weights.safetensors``; or a loaded object. None learns a Matryoshka SAE [2]_ with
        BatchTopK activations [3]_ from those given to :meth:`fit`.
    sae_id : str, default=None
        Which SAE of the release, such as ``"blocks.12.hook_resid_post"``.
    level : {"text", "token", "word"}, default="text"
        What a row is. Tokens and words come as a :class:`~sklearn_sae_encoding.tokens.TokenTable`, one entry a text:
        the features of a token know their token. Words are what stands between white space.
    pooling : {"mean", "max", "sum", "last", "first", "fraction_active"}, default="mean"
        How tokens become a text's row, or a word's. "last" takes the last token, "fraction_active" the share of tokens
        on which a feature is not 0.
    features : int, (lo, hi) tuple, array-like of int, or array-like of bool, default=None
        Which features to give out: the first `features`, a Matryoshka bin ``[lo, hi)``, indices in increasing order
        or a mask. The SAE always encodes in full; only then are they taken. None gives all.
    widths : sequence of int, default=None
        Matryoshka prefix widths, the last being the number of features. For a given SAE, None takes what its metadata
        says. For a learnt one, None takes 1/32, 1/8, 1/2 and all of its features.
    revision : str, default=None
        Commit, tag or branch of the release's hub repository. Only for releases in sae-lens' own format.
    check_match : bool, default=True
        Whether an SAE that was trained on another model, at another hook or with another use of the
        beginning-of-sequence token than `X` is an error. The width of the activations must always match.
    scale_by_decoder_norm : bool, default=False
        Whether to multiply each feature by the norm of its decoder row, which makes features comparable where an SAE
        does not keep these at 1.
    reconstruction : sequence of {"error", "explained_variance"}, default=()
        Columns to add, a text each: the root mean square over tokens of ``||x - x̂||``, in the activations' units,
        and ``1 - Σ ||x - x̂||² / Σ ||x - b||²`` with ``b`` the SAE's decoder bias.
    n_features : int, default=None
        Number of features to learn. None takes four times the activations' width, and at most the number of tokens.
    k : float, default=None
        Features active on a token, on average, in a learnt SAE. None takes ``n_features / 16``, between 1 and 32.
        More make the reconstruction better and the features less specific.
    n_steps : int, default=None
        Training steps, of up to 2048 tokens. None takes ten passes over the tokens, between 100 and 3000 steps.
    learning_rate : float, default=1e-3
        Peak learning rate of Adam.
    sparse_output : bool, default=True
        Whether features come as a CSR array, or as an ndarray (needed for ``set_output(transform="pandas")``).
    chunk_size : int, default=None
        Tokens to encode at once. None takes as many as keep a dense chunk at 32 MB.
    device : str, default="cpu"
        Where torch encodes and trains.
    random_state : int, RandomState instance or None, default=None
        Seeds the learning. An int gives the same SAE for the same data.
    verbose : int, default=0
        Whether to print the progress of learning.

    Attributes
    ----------
    n_features_in_ : int
        Width of the activations, ``d_model``.
    n_features_ : int
        Number of features of the SAE.
    feature_indices_ : ndarray of int
        The SAE's own index of each feature given out.
    widths_ : tuple of int or None
        Matryoshka widths, None where they are not known.
    bins_ : list of (int, int) or None
        Matryoshka bins ``[lo, hi)``, each of which can be given as `features`.
    page_ : str or None
        Address of Neuronpedia's page on each feature, with the place ``{index}``, where the SAE's metadata name it.
    learnt_ : SAEArrays
        What was learnt, for ``sae=None`` only: ``learnt_.save(folder)`` stores it in sae-lens' format,
        ``learnt_.build()`` makes it a ``sae_lens.SAE``. Other SAEs are found again by name and not stored.

    Raises
    ------
    ValueError
        In ``fit`` or ``transform``: for activations of another width, model, hook or use of the beginning-of-sequence
        token than the SAE's (naming both), NaN or infinity and texts without tokens (naming the text), features or
        widths that the SAE does not have, and weights that are damaged or stored as a pickle.
    FileNotFoundError
        In ``fit``: where `sae` names no folder, or one that lacks a file.

    See Also
    --------
    sklearn_sae_encoding.activations.LMActivationTransformer : Texts to the activations of their tokens.
    sklearn_sae_encoding.encoder.SparseVoxelEncoder : Features to voxels.

    Notes
    -----
    SAEs that are named load once per process, encode in float32 and come from safetensors; a release that is stored as
    a pickle is refused. An object encodes in its own precision, and clones share it: its weights are not copied. As
    values of a grid, which scikit-learn copies, SAEs share their weights if they are named, or are ``SAEArrays``. A
    BatchTopK or Matryoshka SAE that was just trained is used in its inference form, JumpReLU. A learnt SAE encodes a
    float64 table in float64.

    Where an SAE's metadata say so, activations are prepared as in its training: the mean over dimensions is taken out
    (GPT-2 with ``center_writing_weights``), and tokens longer than ``max_norm``, attention sinks, are scaled down to it
    (a learnt SAE, and the one that the package ships). Any other change of the model in training that may change its
    activations is an error, unless `check_match` is False. :doc:`/sae` has the reasons.

    A table ``X`` of shape (n_samples, d_model) counts as one token a sample; of the metadata, only its width can be
    checked.

    References
    ----------
    .. [1] Cunningham et al., "Sparse Autoencoders Find Highly Interpretable Features in Language Models", ICLR 2024.
    .. [2] Bussmann et al., "Learning Multi-Level Features with Matryoshka Sparse Autoencoders", ICML 2025.
    .. [3] Bussmann, Leask and Nanda, "BatchTopK Sparse Autoencoders", 2024, arXiv 2412.06410.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.sae import SAEProjector
    >>> rng = np.random.default_rng(0)
    >>> texts = [rng.standard_normal((n_tokens, 8)) for n_tokens in (3, 5, 4, 7)]
    >>> projector = SAEProjector(n_features=16, random_state=0).fit(texts)
    >>> projector.transform(texts).shape
    (4, 16)
    >>> projector.get_feature_names_out()[:2]
    array(['sae_00000', 'sae_00001'], dtype=object)
    >>> projector.bins_
    [(0, 2), (2, 8), (8, 16)]
    """

    _allowed: ClassVar = {
        "sae": (str, Path, SAEArrays, allow.having("encode"), None),
        "sae_id": (str, None),
        "level": (allow.one_of("text", "token", "word"),),
        "pooling": (allow.one_of(*POOLINGS, "fraction_active"),),
        "features": (allow.integer(1), allow.array_like, None),
        "widths": (allow.array_like, None),
        "revision": (str, None),
        "check_match": (allow.boolean,),
        **dict.fromkeys(("scale_by_decoder_norm", "sparse_output"), (allow.boolean,)),
        "reconstruction": (list, tuple),
        "n_features": (allow.integer(1), None),
        "k": (allow.real(0, closed="neither"), None),
        "n_steps": (allow.integer(1), None),
        "learning_rate": (allow.real(0, closed="neither"),),
        "chunk_size": (allow.integer(1), None),
        "device": (str,),
        "random_state": (allow.random_state,),
        "verbose": (allow.verbosity,),
    }

    def __init__(
        self,
        sae=None,
        sae_id=None,
        *,
        level="text",
        pooling="mean",
        features=None,
        widths=None,
        revision=None,
        check_match=True,
        scale_by_decoder_norm=False,
        reconstruction=(),
        n_features=None,
        k=None,
        n_steps=None,
        learning_rate=1e-3,
        sparse_output=True,
        chunk_size=None,
        device="cpu",
        random_state=None,
        verbose=0,
    ):
        self.sae = sae
        self.sae_id = sae_id
        self.level = level
        self.pooling = pooling
        self.features = features
        self.widths = widths
        self.revision = revision
        self.check_match = check_match
        self.scale_by_decoder_norm = scale_by_decoder_norm
        self.reconstruction = reconstruction
        self.n_features = n_features
        self.k = k
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.sparse_output = sparse_output
        self.chunk_size = chunk_size
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """
        Load the SAE and check that it belongs to the activations, or learn one from them.

        Parameters
        ----------
        X : TokenTable, list of arrays of shape (n_tokens, d_model), or array of shape (n_samples, d_model)
            Activations, one array a text, or one row a sample.
        y : ignored

        Returns
        -------
        self
        """
        allow.check_parameters(self, self._allowed)
        texts, origin = self._validate(X, reset=True)
        if self.sae is None:
            self.learnt_ = self._learn(texts, origin)
        sae = self._load()
        check_belongs(sae, origin, self.n_features_in_, self.check_match)
        check_reconstruction(self.reconstruction, sae)
        self.page_ = page_of(sae.cfg.metadata.get("neuronpedia_id"))
        self.n_features_ = int(sae.cfg.d_sae)
        self.widths_ = matryoshka_widths(self.widths, sae.cfg.to_dict(), self.n_features_)
        self.bins_ = bins_of(self.widths_)
        self.feature_indices_ = selected_features(self.features, self.n_features_)
        return self

    def transform(self, X):
        """
        Encode and pool.

        Parameters
        ----------
        X : TokenTable, list of arrays of shape (n_tokens, d_model), or array of shape (n_samples, d_model)
            Activations, one array a text, or one row a sample.

        Returns
        -------
        features : csr_array or ndarray of shape (n_texts, n_selected), or TokenTable
            One row a text; tokens or words of each text for another `level`. Of a table, each row is a sample.
        """
        check_is_fitted(self)
        texts, origin = self._validate(X, reset=False)
        sae = self._load(texts[0].dtype)
        check_belongs(sae, origin, self.n_features_in_, self.check_match)
        encoder = self._encoder(sae)
        columns = partial(side_by_side, reconstruction=self.reconstruction, sparse_output=self.sparse_output)
        if self.level == "text" or not is_texts(X, isinstance(X, TokenTable)):
            return self._contained(columns(pooled_features(encoder, texts, self.pooling, self.chunk_size)), X)
        table, names = X if isinstance(X, TokenTable) else TokenTable(texts), self.get_feature_names_out()
        if self.level == "token":
            return features_of_tokens(encoder, table, texts, columns, self.chunk_size, names)
        return features_of_words(encoder, table, texts, columns, (self.pooling, self.chunk_size), names)

    def inverse_transform(self, X):
        """
        Decode features back into activations.

        Features that were not selected count as 0. Decoding is linear, so that mean-pooled features give the mean of
        the tokens' reconstructions.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_selected)
            Features, as :meth:`transform` gives them.

        Returns
        -------
        activations : ndarray of shape (n_samples, d_model)
        """
        check_is_fitted(self)
        X = check_array(X, accept_sparse="csr", dtype=[np.float32, np.float64])
        names = self.get_feature_names_out()
        if X.shape[1] != len(names):
            raise ValueError(f"X has {X.shape[1]} columns, but the fitted SAEProjector gives {len(names)}.")
        encoder = self._encoder(self._load(X.dtype))
        if is_transcoder(encoder.sae):
            raise ValueError(
                "A transcoder does not give back the activations that it reads, but those of another place in the "
                "model: there is no inverse_transform."
            )
        if normalises_tokens(encoder.sae):
            raise ValueError(
                "This SAE rescales every token before it encodes it, so that features alone do not tell the "
                "activations: there is no inverse_transform."
            )
        return decode(encoder, X[:, : len(self.feature_indices_)], self.chunk_size)

    def get_feature_names_out(self, input_features=None):
        """
        Name the columns by the SAE's own indices: ``sae_00123``.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        return names_of(self.feature_indices_, self.reconstruction)

    def _validate(self, X, reset: bool):
        """Give the activations as one array a text, and where they come from."""
        check_activations(X, isinstance(X, TokenTable), self.check_match)
        if not is_texts(X, isinstance(X, TokenTable)):  # a row is a text of one token
            X = validate_data(self, X, dtype=[np.float32, np.float64], ensure_all_finite=False, reset=reset)
            check_finite(X, "The activations in X")
            return list(X[:, None]), Origin(None, None, None)
        values = X.values if isinstance(X, TokenTable) else X
        texts = checked_texts(values, fitted_width=None if reset else self.n_features_in_)
        if reset:
            self.n_features_in_ = texts[0].shape[1]
        return texts, Origin(*(getattr(X, name, None) for name in ("model", "hook", "bos_token")))

    def _learn(self, texts, origin: Origin) -> SAEArrays:
        plan = plan_for(
            sum(len(text) for text in texts),
            self.n_features_in_,
            n_features=self.n_features,
            k=self.k,
            widths=self.widths,
            n_steps=self.n_steps,
            learning_rate=self.learning_rate,
            seed=int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
        )
        report = print if self.verbose else None
        return train_matryoshka(
            np.concatenate(texts), plan, device=self.device, metadata=metadata_of(origin), report=report
        )

    def _load(self, dtype=np.float32):
        if self.sae is not None:
            return load_sae(self.sae, self.sae_id, revision=self.revision, device=self.device)
        return self.learnt_.build(self.device, "float64" if dtype == np.float64 else "float32")

    def _encoder(self, sae) -> Encoder:
        return Encoder(sae, self.feature_indices_, self.scale_by_decoder_norm, bool(self.reconstruction))

    def __sklearn_clone__(self):
        # The weights of an SAE object are read only: copying them for every fold would be waste.
        return self._with_container(clone_sharing(self, ("sae",)))

    def __getstate__(self):
        state = dict(super().__getstate__())  # a copy: what comes may be the attributes of the living object
        if hasattr(self.sae, "state_dict"):  # sae-lens objects cannot be pickled
            state["sae"] = SAEArrays.of(self.sae)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
