"""The published betas of Lepori, Kay and Tuckute (2026)."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_sae_encoding.datasets._base import RemoteFile, ensure_files, get_data_home
from sklearn_sae_encoding.metrics import noise_ceiling

COMMIT = "960b72faa8c1ba4432b679e262302488a078c67d"
BASE_URL = f"https://raw.githubusercontent.com/mlepori1/Interpretable_Encoding_Models/{COMMIT}/"
FOLDER = "data/processed_csvs_anon/"  # both in the repository and below <data_home>/lepori2026

PARTICIPANTS = tuple(f"p{i}" for i in range(1, 9))
LANGUAGE_SET = "langfroi12345"
SETS = ("hard_to_process", "easy_to_process", "abstract", "concrete", "ghost", LANGUAGE_SET)
AVERAGES = "S3T_baseline_avg"  # of five participants, at 3T
LANGUAGE_PARCELS = {1: "IFGorb", 2: "IFG", 3: "MFG", 4: "AntTemp", 5: "PostTemp"}
N_REPEATS = 3

_FROI = "top10_tstat_langloc_SN_parc_lang_int"
_VISF = "visfAtlas_name"  # not in the language set's metadata
_NOTICE = (
    "Source: github.com/mlepori1/Interpretable_Encoding_Models (arXiv:2606.06857). It states no licence: ask the "
    "authors before you pass the data on."
)
# A language set's betas are some 30 times as large as any other file: this evens out the estimate of the time left.
_WEIGHT_OF_LANGUAGE_BETAS = 30.0


def fetch_lepori2026(participants=None, sets=None, *, data_home=None, download_if_missing=True):
    """Load the betas of eight participants who listened to 200 sentences (7T fMRI).

    Missing files are downloaded (24 MB for all participants and sets) from the authors' public repository at a fixed
    commit. Every file is verified against its SHA-256, also one that is there already. The source states no licence.
    See :ref:`lepori2026` for what the voxel sets are.

    Parameters
    ----------
    participants : str or list of str, default=None
        Among ``"p1"`` to ``"p8"``. None is all eight. The order given is the order of the voxels.

    sets : str or list of str, default=None
        Among ``"hard_to_process"``, ``"easy_to_process"``, ``"abstract"``, ``"concrete"``, ``"ghost"`` (20 voxels each
        a participant) and ``"langfroi12345"`` (the language regions, 100 to 1,000 voxels a participant). None is all
        six.

    data_home : str or path-like, default=None
        Folder of the data sets; the files lie in its ``lepori2026/data/processed_csvs_anon``. None is as for
        :func:`get_data_home`. It may be read-only if the files are there.

    download_if_missing : bool, default=True
        False raises an ``OSError`` instead of going to the network.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``texts``, a list of the 200 sentences, in the order of the rows of ``betas``;
        - ``stimuli``, a DataFrame with a row a sentence: ``sentence``, ``item_id``, the components ``PC1`` and
          ``PC2``, ``surprisal-5gram_mean``, ``surprisal-gpt2-xl_mean``, ``surprisal-pcfg_mean`` and what else the
          source tells;
        - ``betas``, an array of shape `(200, n_voxels)`, averages over three repeats;
        - ``voxels``, a DataFrame with a row a column of ``betas``: ``participant``, ``set``, ``region`` (the language
          region, such as ``"IFG"``, in the language set, and the set's name otherwise), ``neuroid_id``,
          ``noise_ceiling`` (in units of r), ``ncsnr``, ``nc`` (the squared noise ceiling in percent), and the
          source's parcels, localizer t and correlations with PC1 and PC2 by their names there;
        - ``n_duplicates``, a Series over (participant, set): identical voxels that were removed;
        - ``DESCR``, a description.

    Raises
    ------
    ValueError
        If a participant or set is unknown, or the files contradict each other.
    OSError
        If a file is missing and can't be downloaded, or isn't the expected one.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import fetch_lepori2026
    >>> data = fetch_lepori2026("p1", ["abstract", "concrete"])  # doctest: +SKIP
    >>> data.betas.shape  # doctest: +SKIP
    (200, 40)
    >>> data.voxels[["participant", "set", "neuroid_id", "noise_ceiling"]].head(2)  # doctest: +SKIP
      participant       set  neuroid_id  noise_ceiling
    0          p1  abstract         332       0.702460
    1          p1  abstract        3147       0.690579
    """
    participants = _chosen(participants, PARTICIPANTS, "participant")
    sets = _chosen(sets, SETS, "set")
    root = get_data_home(data_home) / "lepori2026"
    _ensure(root, participants, sets, download_if_missing)

    folder = root / FOLDER
    stimuli = _read_stimuli(folder, participants)
    loaded = [_read_set(folder, p, s, stimuli["item_id"].to_numpy()) for p in participants for s in sets]
    voxels = pd.concat([one.voxels for one in loaded], ignore_index=True)
    return Bunch(
        texts=stimuli["sentence"].tolist(),
        stimuli=stimuli,
        betas=np.hstack([one.betas for one in loaded]),
        voxels=voxels,
        n_duplicates=pd.Series(
            [one.n_duplicates for one in loaded],
            index=pd.MultiIndex.from_product([participants, sets], names=["participant", "set"]),
            name="n_duplicates",
        ),
        DESCR=_description(),
    )


def fetch_lepori2026_3t(*, data_home=None, download_if_missing=True):
    """Load the responses of five language regions to 1,000 sentences (3T fMRI), averaged over five participants.

    Missing files are downloaded (0.2 MB) and all are verified as by :func:`fetch_lepori2026`. The source states no
    licence. See :ref:`lepori2026` for what they are.

    Parameters
    ----------
    data_home : str or path-like, default=None
        As for :func:`fetch_lepori2026`; the files lie in ``lepori2026/data/processed_csvs_anon/S3T_baseline_avg``.

    download_if_missing : bool, default=True
        False raises an ``OSError`` instead of going to the network.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``texts``, a list of the 1,000 sentences, in the order of the rows of ``betas``;
        - ``stimuli``, a DataFrame with a row a sentence: ``sentence``, ``item_id``, ``surprisal-5gram_mean``,
          ``surprisal-gpt2-xl_mean``, ``surprisal-pcfg_mean`` and what else the source tells;
        - ``betas``, an array of shape `(1000, 5)`, a column a region;
        - ``voxels``, a DataFrame with a row a column of ``betas``: ``participant`` (always ``"average"``), ``set``
          (``"S3T_baseline_avg"``), ``region`` (IFGorb, IFG, MFG, AntTemp, PostTemp), ``neuroid_id``,
          ``noise_ceiling`` (in units of r) and ``nc`` (its square in percent), as the source gives it;
        - ``DESCR``, a description.

    Raises
    ------
    ValueError
        If the files contradict each other.
    OSError
        If a file is missing and can't be downloaded, or isn't the expected one.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import fetch_lepori2026_3t
    >>> data = fetch_lepori2026_3t()  # doctest: +SKIP
    >>> data.betas.shape, data.voxels["region"].tolist()  # doctest: +SKIP
    ((1000, 5), ['IFGorb', 'IFG', 'MFG', 'AntTemp', 'PostTemp'])
    """
    root = get_data_home(data_home) / "lepori2026"
    paths = [f"{FOLDER}{AVERAGES}/{name}.csv" for name in ("stimset", f"{LANGUAGE_SET}_betas", f"{LANGUAGE_SET}_meta")]
    ensure_files(_as_remote(root, paths), download_if_missing=download_if_missing, notice=_NOTICE)

    folder = root / FOLDER / AVERAGES
    stimuli = pd.read_csv(folder / "stimset.csv")
    betas, meta = _read_betas(folder, LANGUAGE_SET, stimuli["item_id"].to_numpy())
    voxels = pd.DataFrame(
        {
            "participant": "average",
            "set": AVERAGES,
            "region": [LANGUAGE_PARCELS[i] for i in betas.columns],
            "neuroid_id": betas.columns,
            "noise_ceiling": np.sqrt(meta["nc"].to_numpy() / 100),
            "nc": meta["nc"].to_numpy(),
        }
    )
    return Bunch(
        texts=stimuli["sentence"].tolist(),
        stimuli=stimuli,
        betas=betas.to_numpy(dtype=np.float64),
        voxels=voxels,
        DESCR=_description(),
    )


def _description():
    return (files("sklearn_sae_encoding.datasets") / "data" / "lepori2026.rst").read_text(encoding="utf-8")


def _chosen(names, valid, kind):
    if names is None:
        return list(valid)
    names = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in names if name not in valid]
    if unknown or not names:
        raise ValueError(f"Unknown {kind}(s) {unknown}; choose one or more of {list(valid)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"Each {kind} can be asked for once, got {names}.")
    return names


def _ensure(root, participants, sets, download_if_missing):
    needed = _remote_files(root, participants, sets)
    try:
        ensure_files(needed, download_if_missing=download_if_missing, notice=_NOTICE)
    except OSError as error:
        complete = [p for p in participants if all(f.path.exists() for f in _remote_files(root, [p], sets))]
        if complete and complete != participants:
            raise OSError(f"{error} These participants are complete there: participants={complete}.") from error
        raise


def _remote_files(root, participants, sets):
    paths = [f"{FOLDER}baseline200.csv"]
    for participant in participants:
        paths.append(f"{FOLDER}{participant}/stimset.csv")
        paths += [f"{FOLDER}{participant}/{name}_{part}.csv" for name in sets for part in ("betas", "meta")]
    return _as_remote(root, paths)


def _as_remote(root, paths):
    checksums = _checksums()
    weight = dict.fromkeys((p for p in paths if p.endswith(f"{LANGUAGE_SET}_betas.csv")), _WEIGHT_OF_LANGUAGE_BETAS)
    return [RemoteFile(root / path, BASE_URL + path, checksums[path], weight.get(path, 1.0)) for path in paths]


def _checksums():
    table = (files("sklearn_sae_encoding.datasets") / "data" / "lepori2026_sha256.txt").read_text(encoding="utf-8")
    return {path: digest for digest, path in (line.split() for line in table.splitlines())}


def _read_stimuli(folder, participants):
    """Read the sentences, and make sure that all participants heard them in the same order."""
    baseline = pd.read_csv(folder / "baseline200.csv")
    for participant in participants:
        path = folder / participant / "stimset.csv"
        stimuli = pd.read_csv(path)
        if stimuli["sentence"].tolist() != baseline["sentence"].tolist():
            raise ValueError(f"The sentences of {path} are not those of baseline200.csv in their order.")
        if not np.array_equal(stimuli["item_id"], baseline["item_id"]):
            raise ValueError(f"The item_id of {path} are not those of baseline200.csv in their order.")
    # One participant's file stands for all: they differ in these two columns only.
    stimuli = stimuli.drop(columns=["Unnamed: 0", "subject_id"], errors="ignore")
    return stimuli.assign(item_id=stimuli["item_id"].astype(int))


class _VoxelSet(NamedTuple):
    betas: np.ndarray  # (n_texts, n_voxels)
    voxels: pd.DataFrame  # a row a voxel
    n_duplicates: int


def _read_set(folder, participant, name, item_ids):
    betas, meta = _read_betas(folder / participant, name, item_ids)
    values = betas.to_numpy(dtype=np.float64)
    kept = _first_of_identical(values)
    return _VoxelSet(
        betas=values[:, kept],
        voxels=_describe(meta.iloc[kept], participant, name),
        n_duplicates=values.shape[1] - len(kept),
    )


def _read_betas(folder, name, item_ids):
    """Read the betas, and their metadata in the order of their columns."""
    path = folder / f"{name}_betas.csv"
    betas = pd.read_csv(path).set_index("item_id")
    if not np.array_equal(betas.index, item_ids):
        raise ValueError(f"The rows of {path} (item_id) are not the sentences of stimset.csv in their order.")
    # Columns of one file and rows of the other come in different orders: only the id connects them.
    betas.columns = betas.columns.astype(int)
    meta = pd.read_csv(folder / f"{name}_meta.csv").set_index("neuroid_id")
    if not betas.columns.is_unique or not meta.index.is_unique or set(betas.columns) != set(meta.index):
        raise ValueError(f"{path} and {name}_meta.csv beside it do not hold the same voxels (neuroid_id), each once.")
    return betas, meta.loc[betas.columns]


def _first_of_identical(values):
    """Positions of the columns that equal no earlier column."""
    return np.sort(np.unique(values, axis=1, return_index=True)[1])


def _describe(meta, participant, name):
    voxels = meta.drop(columns="Unnamed: 0", errors="ignore").reset_index()
    if _VISF not in voxels:
        voxels[_VISF] = None
    # All-missing columns are read as floats: objects throughout, so that the sets' tables stack.
    voxels[_VISF] = voxels[_VISF].astype(object).where(voxels[_VISF].notna(), None)
    known = {
        "participant": participant,
        "set": name,
        "region": voxels[_FROI].map(LANGUAGE_PARCELS) if name == LANGUAGE_SET else name,
        "neuroid_id": voxels.pop("neuroid_id"),
        "noise_ceiling": noise_ceiling(voxels["ncsnr"], N_REPEATS),
    }
    for position, (column, value) in enumerate(known.items()):
        voxels.insert(position, column, value)
    return voxels
