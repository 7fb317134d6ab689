"""himalaya's backend is lent and given back."""

import threading

import pytest
from himalaya.backend import get_backend, set_backend

from sklearn_sae_encoding._solvers.banded.backend import backend_name, himalaya_backend


def test_the_backend_is_put_back_after_an_error():
    def fail():
        with himalaya_backend("torch") as backend:
            assert backend.name == get_backend().name == "torch"
            raise RuntimeError("on purpose")

    set_backend("numpy")
    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert get_backend().name == "numpy"


def test_threads_take_turns():
    seen = []

    def work(name):
        for _ in range(50):
            with himalaya_backend(name):
                seen.append(get_backend().name == name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "torch")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert get_backend().name == "numpy"


def test_devices_have_backends():
    assert [backend_name(device) for device in ("cpu", "cuda", "cuda:0")] == ["numpy", "torch_cuda", "torch_cuda"]
    with pytest.raises(ValueError, match="device='tpu' cannot be used: expected 'cpu', 'cuda'"):
        backend_name("tpu")
