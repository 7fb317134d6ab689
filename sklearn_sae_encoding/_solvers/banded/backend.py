"""himalaya's backend, which is one variable of a module: set for a call, then put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Two fits in threads of one process take turns; parallel work is for processes.
_lock = threading.RLock()


def backend_name(device) -> str:
    """Name the backend of a device: numpy for the string "cpu", torch for all others."""
    if isinstance(device, str) and device == "cpu":
        return "numpy"
    kind = str(device).split(":")[0]
    names = {"cpu": "torch", "cuda": "torch_cuda"}
    if kind not in names:
        raise ValueError(f"device={device!r} cannot be used: expected 'cpu', 'cuda', or a torch.device of these.")
    return names[kind]


@contextmanager
def himalaya_backend(name: str) -> Iterator[ModuleType]:
    """Lend himalaya's backend of that name; what the user had set is back afterwards, also after an error."""
    from himalaya.backend import get_backend, set_backend

    with _lock:
        before = get_backend().name
        try:
            yield set_backend(name)
        finally:
            set_backend(before)
