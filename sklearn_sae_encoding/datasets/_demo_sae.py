"""A small Matryoshka SAE that ships with the package."""

from importlib.resources import files


def load_demo_sae():
    """Path of a Matryoshka SAE for layer 15 of SmolLM2-135M-Instruct, as a local sae-lens folder.

    It has 2,048 features in nested levels of 64, 256, 1024 and 2048, of which about 32 are active on a token, and takes
    the residual stream after block 15 (`blocks.15.hook_resid_post`, width 576) of the model that :func:`load_smollm2`
    gives, with ``<|endoftext|>`` before each text, the token of that model's pretraining. `README.md` in the folder is
    its model card.

    Returns
    -------
    str
        Path of the folder, for ``SAEProjector(sae=...)`` or ``sae_lens.SAE.load_from_disk``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from sklearn_sae_encoding.datasets import load_demo_sae
    >>> sorted(path.name for path in Path(load_demo_sae()).iterdir())
    ['README.md', 'cfg.json', 'sae_weights.safetensors']
    """
    return str(files("sklearn_sae_encoding.datasets") / "data" / "demo_sae")
