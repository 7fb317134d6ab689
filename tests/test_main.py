"""Commands from a shell."""

import pytest

from sklearn_sae_encoding.__main__ import COMMANDS, main


def test_warming_up_fits_every_kind_of_features(capsys):
    assert main(["warmup"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "dense features, float64",
        "sparse features, float64",
        "dense features, float32",
        "sparse features, float32",
    ]


def test_warming_up_may_be_shared_among_processes_by_kind(capsys):
    assert main(["warmup", "--features", "sparse"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "sparse features, float64",
        "sparse features, float32",
    ]


def test_help_names_every_command_with_what_it_does(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)
    assert "Compile the kernels" in shown


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["warm"])
    assert "invalid choice: 'warm'" in capsys.readouterr().err
