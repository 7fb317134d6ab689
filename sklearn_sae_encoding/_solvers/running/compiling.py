"""Say that kernels are being compiled: the first fit after an installation waits for that before it counts a voxel."""

from __future__ import annotations

import sys
from contextlib import contextmanager

PACKAGE = __name__.split(".", maxsplit=1)[0]


@contextmanager
def told_of_compiling():
    """Write a line to the standard error once kernels of this package are compiled meanwhile, in any thread."""
    if "numba" not in sys.modules:  # what is solved has no kernels: numba takes half a second and 45 MB
        yield
        return
    from numba.core import event

    class Teller(event.Listener):
        said = False

        def on_start(self, happening):
            if not self.said and happening.data["dispatcher"].py_func.__module__.split(".")[0] == PACKAGE:
                self.said = True
                print("compiling, about 20 s: once after an installation", file=sys.stderr, flush=True)

        def on_end(self, happening):
            """Nothing more to say: the voxels are counted from here on."""

    with event.install_listener("numba:compile", Teller()):
        yield
