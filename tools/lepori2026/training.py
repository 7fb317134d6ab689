"""SAEs of other architectures, trained by sae-lens on rows of tokens, as decompositions of scikit-learn are."""

import itertools

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

BATCH, LEARNING_RATE, MAX_RELATIVE_NORM = 2048, 1e-3, 3.0


class SAELearner(TransformerMixin, BaseEstimator):
    """A TopK or JumpReLU SAE of the rows it is fitted to, by the recipe of ``SAEProjector``.

    Rows are scaled to a mean norm of the root of their width, those of more than three times the median norm down to
    it; batches have 2,048 rows, Adam's rate is 1e-3 after a warm-up and decays at the end.
    """

    def __init__(self, architecture, n_features, k, *, n_steps, random_state=0):
        self.architecture = architecture
        self.n_features = n_features
        self.k = k
        self.n_steps = n_steps
        self.random_state = random_state

    def fit(self, X, y=None):
        import torch
        from sae_lens import (
            JumpReLUTrainingSAE,
            JumpReLUTrainingSAEConfig,
            SAETrainer,
            TopKTrainingSAE,
            TopKTrainingSAEConfig,
        )
        from sae_lens.config import LoggingConfig, SAETrainerConfig

        X = np.asarray(X, dtype=np.float32)
        norms = np.linalg.norm(X, axis=1)
        self.largest_ = MAX_RELATIVE_NORM * float(np.median(norms))
        self.factor_ = float(np.sqrt(X.shape[1]) / np.minimum(norms, self.largest_).mean())
        rows, common = self._scaled(X), {"d_in": X.shape[1], "d_sae": self.n_features, "device": "cpu"}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            if self.architecture == "topk":
                sae = TopKTrainingSAE(TopKTrainingSAEConfig(**common, k=self.k))
            else:
                options = {"target_l0": self.k, "l0_warm_up_steps": self.n_steps // 10}
                sae = JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(**common, **options))
            with torch.no_grad():
                sae.b_dec.copy_(rows.mean(dim=0))
            run = SAETrainerConfig(
                total_training_samples=self.n_steps * BATCH,
                train_batch_size_samples=BATCH,
                lr=LEARNING_RATE,
                lr_end=LEARNING_RATE,
                lr_warm_up_steps=self.n_steps // 20,
                lr_decay_steps=3 * self.n_steps // 10,
                lr_scheduler_name="constant",
                n_restart_cycles=1,
                adam_beta1=0.9,
                adam_beta2=0.999,
                autocast=False,
                feature_sampling_window=self.n_steps + 1,
                n_checkpoints=0,
                checkpoint_path=None,
                save_final_checkpoint=False,
                dead_feature_window=max(10, self.n_steps // 8),
                device="cpu",
                logger=LoggingConfig(log_to_wandb=False),
            )
            drawn = np.random.default_rng(self.random_state)
            batches = (rows[drawn.integers(len(rows), size=BATCH)] for _ in itertools.count())
            self.sae_ = SAETrainer(run, sae, data_provider=batches).fit().eval()
        return self

    def transform(self, X):
        import torch

        with torch.inference_mode():
            parts = torch.split(self._scaled(np.asarray(X, dtype=np.float32)), BATCH)
            return np.vstack([self.sae_.encode(part).numpy() for part in parts]) / self.factor_

    def _scaled(self, X):
        import torch

        norms = np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-30)
        return torch.from_numpy(X * np.minimum(1.0, self.largest_ / norms) * self.factor_).float()
