"""An SAE as plain arrays and a configuration: what can be pickled, and what training gives."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sae_lens import SAE


class SAEArrays:
    """
    Weights of an SAE as NumPy arrays, with the configuration that makes them a sae-lens SAE again.

    sae-lens objects hold local functions and cannot be pickled; this can, and it needs neither torch nor sae-lens to
    be read.

    Attributes
    ----------
    config : dict
        The SAE's configuration, as sae-lens writes it into `cfg.json`.
    weights : dict of str to ndarray
        The SAE's state, as sae-lens writes it into `sae_weights.safetensors`.
    """

    def __init__(self, config: dict, weights: dict[str, np.ndarray]):
        self.config = config
        self.weights = weights

    @classmethod
    def of(cls, sae: SAE) -> SAEArrays:
        """Take the weights out of an SAE; a training SAE gives its inference form (BatchTopK becomes JumpReLU)."""
        from sae_lens import TrainingSAE

        state = {name: tensor.detach().clone() for name, tensor in sae.state_dict().items()}
        if isinstance(sae, TrainingSAE):
            sae.process_state_dict_for_saving_inference(state)
            config = sae.cfg.get_inference_sae_cfg_dict()
        else:
            sae.process_state_dict_for_saving(state)
            config = sae.cfg.to_dict()
        if hasattr(sae.cfg, "matryoshka_widths"):  # older versions of sae-lens drop them
            metadata = {**config["metadata"], "matryoshka_widths": list(sae.cfg.matryoshka_widths)}
            config = {**config, "metadata": metadata}
        weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()}
        dtype = str(sae.dtype).removeprefix("torch.")
        return cls({**copy.deepcopy(config), "dtype": dtype, "device": "cpu"}, weights)

    def build(self, device: str = "cpu", dtype: str | None = None) -> SAE:
        """Make the sae-lens SAE, in the precision that it had. On the CPU in float32 it shares the arrays' memory."""
        import torch
        from sae_lens.registry import get_sae_class

        dtype = dtype or self.config["dtype"]
        # A copy: sae-lens writes into the configuration it is given.
        config = copy.deepcopy({**self.config, "device": "meta", "dtype": dtype})
        sae_class, config_class = get_sae_class(config["architecture"])
        sae: SAE = sae_class(config_class.from_dict(config))
        state = {name: torch.from_numpy(array) for name, array in self.weights.items()}
        sae.process_state_dict_for_loading(state)
        sae.load_state_dict(state, assign=True)
        return sae.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)

    def save(self, folder: Path, dtype=np.float32) -> None:
        """
        Write sae-lens' two files, `cfg.json` and `sae_weights.safetensors`, with weights of `dtype`.

        The configuration goes on saying float32: sae-lens converts on loading, and float16 is slow and coarse to
        compute in.
        """
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {**self.config, "dtype": "float32"}
        (folder / "cfg.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        weights = {name: np.ascontiguousarray(array, dtype=dtype) for name, array in self.weights.items()}
        path = folder / "sae_weights.safetensors"
        save_file(weights, path)
        path.chmod(0o644)  # safetensors writes for the owner alone

    def __sklearn_clone__(self) -> SAEArrays:
        return self  # never written to: a grid of SAEs holds one copy of each

    def __repr__(self) -> str:
        config = self.config
        return f"SAEArrays({config.get('architecture')}, d_in={config.get('d_in')}, d_sae={config.get('d_sae')})"
