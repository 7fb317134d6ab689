"""Forked processes, in which torch waits for threads that only the parent has."""

from __future__ import annotations

import os

_forked = False


def _note() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)


def mind_forks() -> None:
    """Keep torch to one thread where this process is a fork, as torch's own data loaders do; called before it computes.

    The threads of OpenMP don't survive a fork, and the first loop that several of them share would never end.
    """
    if _forked:
        import torch

        torch.set_num_threads(1)
