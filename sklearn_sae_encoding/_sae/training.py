"""Activations to a Matryoshka SAE: the training run, by sae-lens' own trainer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sklearn_sae_encoding._forks import mind_forks
from sklearn_sae_encoding._sae.arrays import SAEArrays
from sklearn_sae_encoding._sae.processing import MAX_NORM, clip_norms

if TYPE_CHECKING:
    import torch

# A token with more than this multiple of the median norm is an attention sink. Its squared error would outweigh that
# of thousands of other tokens, so it is scaled down to this norm: its direction is learnt, its size is not.
MAX_RELATIVE_NORM = 3.0


class Scale(NamedTuple):
    """What brings activations to a size that one learning rate fits."""

    mean: np.ndarray  # (d_model,), in the activations' units
    factor: float  # multiplies an activation, and makes the mean norm sqrt(d_model)
    max_norm: float  # in the activations' units


class TrainingPlan(NamedTuple):
    """How to train: all that the result depends on besides the data."""

    widths: tuple[int, ...]  # Matryoshka prefix widths, increasing; the last is the number of features
    k: float  # features active per token, on average over a batch
    n_steps: int
    batch_size: int = 4096  # tokens a step
    learning_rate: float = 1e-3  # Adam's; warms up over the first 5 % of steps, decays to 0 over the last 30 %
    dead_window: int = 200  # steps of silence after which a feature gets the auxiliary loss
    seed: int = 0


def plan_for(
    n_tokens: int, d_model: int, *, n_features, k, widths, n_steps, learning_rate: float, seed: int
) -> TrainingPlan:
    """Fill in what was not given, from the number of tokens and their width."""
    if n_features is not None and widths is not None and int(widths[-1]) != n_features:
        raise ValueError(
            f"The last of widths={tuple(widths)} must be the number of features, but n_features={n_features}. "
            "Give one of the two, or make them equal."
        )
    if n_features is None:
        n_features = int(widths[-1]) if widths is not None else min(4 * d_model, max(8, n_tokens))
    if widths is None:
        widths = sorted({width for width in (n_features // 32, n_features // 8, n_features // 2, n_features) if width})
    if k is None:
        k = min(32, max(1, n_features // 16))
    batch_size = min(2048, n_tokens)
    if n_steps is None:
        n_steps = int(np.clip(10 * n_tokens // batch_size, 100, 3000))
    dead_window = max(10, n_steps // 8)
    return TrainingPlan(tuple(int(width) for width in widths), k, n_steps, batch_size, learning_rate, dead_window, seed)


def measure_scale(values: np.ndarray, n_sampled: int = 100_000, seed: int = 0) -> Scale:
    """Measure the mean and the typical norm on at most `n_sampled` rows."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(values), min(len(values), n_sampled), replace=False))
    sample = np.asarray(values[rows], dtype=np.float32)
    norms = np.linalg.norm(sample, axis=1)
    # Where most rows are zero there is nothing to clip by.
    max_norm = MAX_RELATIVE_NORM * float(np.median(norms)) or np.inf
    sample = clip_norms(sample, max_norm)
    mean_norm = float(np.minimum(norms, max_norm).mean())
    return Scale(sample.mean(0), float(np.sqrt(values.shape[1]) / mean_norm) if mean_norm else 1.0, max_norm)


def shuffled_batches(values: np.ndarray, batch_size: int, scale: Scale, seed: int = 0) -> Iterator[torch.Tensor]:
    """Yield scaled float32 batches without end: every row once an epoch, each epoch in a new order."""
    import torch

    rng = np.random.default_rng(seed)
    order = np.empty(0, dtype=np.int64)
    while True:
        while len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(len(values))])
        rows, order = order[:batch_size], order[batch_size:]
        batch = clip_norms(np.asarray(values[rows], dtype=np.float32), scale.max_norm)
        yield torch.from_numpy(batch * np.float32(scale.factor))


def train_matryoshka(
    values: np.ndarray,
    plan: TrainingPlan,
    *,
    device: str = "cpu",
    metadata: dict | None = None,
    report: Callable[[str], None] | None = None,
) -> SAEArrays:
    """
    Train a BatchTopK Matryoshka SAE on the rows of `values`, and give its JumpReLU form.

    Decoder rows have unit norm, so that a feature's activation is in the units of `values`.

    Parameters
    ----------
    values : (n_tokens, d_model) array or memory map of any float type.
    plan : widths, sparsity, steps and seed. The same plan and data give the same SAE; torch's global generator is
    left alone. metadata : goes into the SAE's configuration. report : is called with a line of progress about every
    ten seconds.
    """

    mind_forks()
    scale = measure_scale(values, seed=plan.seed)
    with _seeded(plan.seed, device):
        trainer = _trainer(values.shape[1], plan, scale, device)
        batches = shuffled_batches(values, plan.batch_size, scale, plan.seed)
        _run(trainer, batches, plan.n_steps, report)
        trained = _with_threshold(SAEArrays.of(trainer.sae), batches, plan, device)
    trained.config["metadata"].update(metadata or {})
    if np.isfinite(scale.max_norm):
        trained.config["metadata"][MAX_NORM] = scale.max_norm
    return _unscaled(trained, scale.factor)


@contextmanager
def _seeded(seed: int, device: str):
    """Seed torch where it trains, and leave all of its generators as they were."""
    import torch

    where = torch.device(device)
    gpus = [] if where.type != "cuda" else [torch.cuda.current_device() if where.index is None else where.index]
    with torch.random.fork_rng(devices=gpus):
        # Not torch.manual_seed, which reaches the generators of all GPUs.
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        yield


def _trainer(d_model: int, plan: TrainingPlan, scale: Scale, device: str):
    import torch
    from sae_lens import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig, SAETrainer
    from sae_lens.config import LoggingConfig, SAETrainerConfig

    sae = MatryoshkaBatchTopKTrainingSAE(
        MatryoshkaBatchTopKTrainingSAEConfig(
            d_in=d_model, d_sae=plan.widths[-1], k=plan.k, matryoshka_widths=list(plan.widths), device=device
        )
    )
    # Residual streams have a large mean; a decoder bias that starts there need not travel.
    with torch.no_grad():
        sae.b_dec.copy_(torch.from_numpy(scale.mean * scale.factor))
    run = SAETrainerConfig(
        total_training_samples=plan.n_steps * plan.batch_size,
        train_batch_size_samples=plan.batch_size,
        lr=plan.learning_rate,
        lr_end=plan.learning_rate,  # where the decay to 0 starts from
        lr_warm_up_steps=plan.n_steps // 20,
        lr_decay_steps=3 * plan.n_steps // 10,
        lr_scheduler_name="constant",
        n_restart_cycles=1,
        adam_beta1=0.9,
        adam_beta2=0.999,
        autocast=False,
        feature_sampling_window=plan.n_steps + 1,
        n_checkpoints=0,
        checkpoint_path=None,
        save_final_checkpoint=False,
        # The auxiliary loss shares out d_model // 2 features and divides by that number.
        dead_feature_window=plan.dead_window if d_model > 1 else plan.n_steps,
        device=device,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(run, sae, data_provider=iter(()))


def _run(trainer, batches: Iterator[torch.Tensor], n_steps: int, report) -> None:
    """Take the trainer's steps. Its own `fit` does so too, under a progress bar that cannot be turned off."""
    started = reported = time.monotonic()
    for step in range(1, n_steps + 1):
        output = trainer._train_step(sae=trainer.sae, sae_in=next(batches).to(trainer.cfg.device))
        trainer.n_training_steps += 1
        now = time.monotonic()
        if report is not None and (now - reported > 10 or step == n_steps):
            reported = now
            left = (now - started) / step * (n_steps - step)
            dead = int(trainer.dead_neurons.sum())
            loss = output.losses["mse_loss"].item()
            report(f"step {step} of {n_steps}: squared error {loss:.1f}, {dead} dead features, {left:.0f} s to go")


def _with_threshold(sae: SAEArrays, batches: Iterator[torch.Tensor], plan: TrainingPlan, device: str) -> SAEArrays:
    """
    Set JumpReLU's threshold so that `k` features are active per token, on average over a sample of the training
    tokens.

    The trainer keeps a running mean of each batch's lowest active value. It starts at 0, lags behind a short run, and
    is drawn down by the batch's one lowest value.
    """
    import torch

    everything_open = SAEArrays(sae.config, {**sae.weights, "threshold": np.zeros_like(sae.weights["b_enc"])}).build(
        device
    )
    lowest = []
    n_batches = max(1, min(plan.n_steps, 16_384 // plan.batch_size))
    with torch.inference_mode():
        for _ in range(n_batches):
            active = everything_open.encode(next(batches).to(device)).flatten()
            n_kept = int(plan.k * plan.batch_size)
            lowest.append(active.topk(min(n_kept + 1, len(active))).values[-1].item())
    return SAEArrays(sae.config, {**sae.weights, "threshold": np.full_like(sae.weights["b_enc"], np.mean(lowest))})


def _unscaled(sae: SAEArrays, factor: float) -> SAEArrays:
    """
    Rewrite an SAE of `factor * x` as one of `x`.

    JumpReLU's output scales with its input when its biases and thresholds do, and decoder rows keep their unit norm.
    """
    weights = dict(sae.weights)
    for name in ("b_enc", "b_dec", "threshold"):
        weights[name] = weights[name] / np.float32(factor)
    return SAEArrays(sae.config, weights)
