"""What do the features mean: labels that others gave, and the tokens that a feature promotes?"""

import gzip
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_sae_encoding._files import decode_text
from sklearn_sae_encoding._fitted.tables import feature_table, find_features, with_labels
from sklearn_sae_encoding._lm.loading import load_model
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding._sae.columns import names_of
from sklearn_sae_encoding._sae.loading import load_sae
from sklearn_sae_encoding.analysis.exports import read_feature_export
from sklearn_sae_encoding.fitted import features_of

_INDEX_FIELDS = ("index", "feature", "feature_index", "latent")
_LABEL_FIELDS = ("description", "label", "explanation", "text")
_WHOLE = re.compile(r"\s*([0-9]{1,18})(?:\.0)?\s*")
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


def read_feature_labels(path, *, explainer=None):
    """Read labels of an SAE's features from a file, or from a folder of Neuronpedia's exports or delphi's results.

    Parameters
    ----------
    path : path-like
        A CSV or TSV table with a header; JSON: an object ``{"79": "people", ...}``, a list of objects, or an object
        that holds such a list as ``"explanations"``; or JSON lines, as Neuronpedia exports them. A file may be gzipped
        (``.gz``). The SAE's own index stands in a field `index`, `feature`, `feature_index` or `latent`, the label in
        `description`, `label`, `explanation` or `text`. Or a folder, as :func:`read_feature_export` reads it.

    explainer : str, default=None
        Whose labels, where a folder holds those of several, such as ``"gpt-4o-mini"``.

    Returns
    -------
    labels : pandas.Series of str
        Labels by index, increasing. Several labels of one feature are joined by "; ".

    Raises
    ------
    ValueError
        If the file holds no such fields, an index is no whole number, or it is in no Unicode encoding; and if a folder
        has several explainers, none of which was chosen.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("feature,label\\n79,scenery\\n40,people\\n")
    >>> read_feature_labels(path).to_dict()
    {40: 'people', 79: 'scenery'}
    """
    path = Path(path)
    if path.is_dir():
        return _joined(_of_explainer(read_feature_export(path).explanations, explainer, path))
    records = _records(_read(path), Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower(), path)
    pairs = [_pair(record, path) for record in records]
    labels = pd.Series([label for _, label in pairs], index=[index for index, _ in pairs], dtype=object, name="label")
    return _joined(labels[labels.astype(bool)])


def _joined(labels):
    return labels.groupby(level=0, sort=True).agg(lambda group: "; ".join(dict.fromkeys(group)))


def _of_explainer(explanations, explainer, path):
    sources = sorted(explanations["source"].unique())
    if explainer is None and len(sources) > 1:
        raise ValueError(
            f"{path} holds labels of several explainers: {', '.join(sources)}. Choose one with explainer=."
        )
    if explainer is not None and explainer not in sources:
        raise ValueError(f"{path} holds no label of {explainer!r}, but of {', '.join(sources) or 'nobody'}.")
    own = explanations if explainer is None else explanations[explanations["source"] == explainer]
    return pd.Series(own["label"].to_numpy(dtype=object), index=own["index"].to_numpy(), dtype=object, name="label")


def _read(path):
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is no whole gzip file: {error}.") from error
    return decode_text(content, path)


def _records(text, suffix, path):
    if suffix in (".csv", ".tsv"):
        return _rows(text, "\t" if suffix == ".tsv" else ",", path)
    try:
        if suffix == ".jsonl":  # lines end with a line feed alone: a text may hold other separators, such as U+2028
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}.") from error
    if isinstance(content, dict):
        content = content.get("explanations") or [{"index": index, "label": label} for index, label in content.items()]
    if not isinstance(content, list):
        raise ValueError(
            f"{path} holds {content!r:.60}; expected a list of objects, or an object with labels by index."
        )
    return content


def _rows(text, separator, path):
    # Not by the csv module, whose limit for the length of a field is one for the whole process.
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, na_filter=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no table: {error}.") from error
    return table.to_dict("records")


def _pair(record, path):
    fields = {str(name).strip().lower(): value for name, value in record.items()} if isinstance(record, dict) else {}
    index, label = (next((fields[n] for n in names if n in fields), None) for names in (_INDEX_FIELDS, _LABEL_FIELDS))
    if index is None or not (label is None or isinstance(label, str)):
        raise ValueError(
            f"{path} holds an entry without an index or with a label that is no text: {record!r}. Expected one of "
            f"{', '.join(_INDEX_FIELDS)} and one of {', '.join(_LABEL_FIELDS)}."
        )
    whole = None if isinstance(index, bool) else _WHOLE.fullmatch(str(index))
    if whole is None:
        raise ValueError(f"{path} holds the index {index!r:.60}, which is no whole number.")
    return int(whole[1]), (label or "").strip()


def label_features(features, labels):
    """Put labels beside the names of features, joined by name or by the SAE's own index.

    Parameters
    ----------
    features : transformer, FittedView, DataFrame or sequence of str
        A fitted transformer such as ``SAEProjector``, the view of a fitted model, a table of features, or names alone,
        which join by name only.

    labels : Series or dict of int or str to str
        Labels by the SAE's own index, as :func:`read_feature_labels` gives them, or by name.

    Returns
    -------
    names : list of str
        ``sae_00079: scenery`` where there is a label, and the name alone elsewhere.

    Examples
    --------
    >>> from sklearn_sae_encoding.fitted import feature_table
    >>> table = feature_table(["sae_00079", "surprisal"], kinds=["sae", "surprisal"], sae_index=[79])
    >>> label_features(table, {79: "scenery"})
    ['sae_00079: scenery', 'surprisal']
    """
    table = with_labels(features_of(features), labels)
    return [f"{name}: {label}" if label else name for name, label in zip(table["feature"], table["label"], strict=True)]


def promoted_tokens(model, sae, features, *, n_tokens=10, sae_id=None, revision=None, tokenizer=None):
    """Find the tokens whose prediction each feature promotes most (logit lens).

    The decoder row `d` of a feature goes through the model's final norm and unembedding as if it were the residual
    stream: logits are ``W_U (norm(d) - norm(0))``, minus their mean over the vocabulary. Later layers are skipped, so
    that the reading is rough for early ones; features that act on other features rather than on the output show
    nothing.

    Parameters
    ----------
    model, tokenizer
        The language model, as in :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.
    sae, sae_id, revision
        The SAE of that model, as in :class:`~sklearn_sae_encoding.sae.SAEProjector`.
    features : int, str or sequence of these
        The SAE's own indices, or names such as ``sae_00079``.
    n_tokens : int, default=10
        Tokens a feature.

    Returns
    -------
    table : pandas.DataFrame
        Columns `feature` and `index` (its name, and its index in the SAE), `token` (as it reads in a text) and `logit`,
        the most promoted token of each feature first.

    Raises
    ------
    ValueError
        If a feature does not exist, or the SAE does not write into the model's residual stream.
    """
    import torch

    loaded = load_model(ModelSource(model, tokenizer=tokenizer))
    encoder = load_sae(sae, sae_id, revision=revision)
    known = feature_table(names_of(np.arange(encoder.cfg.d_sae), ()))
    features = find_features(known, features)
    unembedding = loaded.model.get_output_embeddings().weight
    if encoder.W_dec.shape[1] != unembedding.shape[1]:
        raise ValueError(
            f"The SAE writes into a stream of width {encoder.W_dec.shape[1]}, but the model's has "
            f"{unembedding.shape[1]}. Give the model that the SAE was trained on."
        )
    norm = _final_norm(loaded)
    with torch.inference_mode():
        rows = encoder.W_dec[torch.from_numpy(features)].to(unembedding.device, unembedding.dtype)
        logits = (norm(rows) - norm(torch.zeros_like(rows))) @ unembedding.T
        best = (logits - logits.mean(dim=1, keepdim=True)).float().topk(n_tokens, dim=1)
    tokens = [loaded.tokenizer.decode([token]) for token in best.indices.flatten().tolist()]
    repeated = np.repeat(features, n_tokens)
    names = known["feature"].to_numpy()[repeated]
    logits = best.values.flatten().cpu().numpy()
    return pd.DataFrame({"feature": names, "index": repeated, "token": tokens, "logit": logits})


def _final_norm(loaded):
    """Find the norm that stands beside the list of blocks."""
    for module in loaded.model.modules():
        if any(child is loaded.blocks for child in module.children()):
            norms = [getattr(module, name) for name in _FINAL_NORMS if callable(getattr(module, name, None))]
            if norms:
                return norms[0]
    raise ValueError(
        f"Found no final norm in {type(loaded.model).__name__}: expected {', '.join(_FINAL_NORMS)} beside its blocks."
    )
