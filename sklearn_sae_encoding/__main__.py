"""The shell's door: ``python -m sklearn_sae_encoding COMMAND ...``."""

import argparse
import importlib
import sys

# Each command's module has `add_arguments(parser)` and `run(arguments)`.
COMMANDS = {
    "warmup": ("sklearn_sae_encoding._warmup", "Compile the kernels of SparseVoxelEncoder ahead of time"),
    "words": ("sklearn_sae_encoding.reading._command", "Add surprisal, features and more to a table of words"),
}


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments; None takes those of the shell.

    Returns
    -------
    status : int
        0, or 2 where the arguments or files are wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m sklearn_sae_encoding", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        importlib.import_module(module).add_arguments(command)
        command.set_defaults(run=importlib.import_module(module).run)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except (ValueError, OSError, ImportError) as error:
        print(f"{parser.prog} {arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
