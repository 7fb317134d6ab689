"""What several fits on the same rows need alike, made once while a call around them says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import joblib


class _Shelf:
    """Keeps what was made of the last rows."""

    def __init__(self):
        self.rows, self.made = None, {}

    def get(self, rows, key, make):
        if rows != self.rows:
            self.rows, self.made = rows, {}
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


_shelf: ContextVar[_Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Share between fits in this thread of this process, until the block ends."""
    token = _shelf.set(_Shelf())
    try:
        yield
    finally:
        _shelf.reset(token)


def made_once(rows: object, keys: list[object], makes: list[Callable]) -> list:
    """Give what each of `makes` makes, of `rows` and `keys` alone; equal ones are made once where fits share."""
    shelf = _shelf.get()
    if shelf is None:
        return [make() for make in makes]
    rows = joblib.hash(rows)
    return [shelf.get(rows, joblib.hash(key), make) for key, make in zip(keys, makes, strict=True)]
