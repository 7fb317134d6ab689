"""`python -m sklearn_sae_encoding COMMAND`: what is done once, from a shell."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

# A command is a module with a docstring, `add_arguments(parser)` and `run(options)`, imported when it is asked for.
COMMANDS = {
    "warmup": "sklearn_sae_encoding._warmup",
}


def main(arguments=None):
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser("python -m sklearn_sae_encoding", description="What is done once, from a shell.")
    choices = parser.add_subparsers(dest="command", required=True)
    given = sys.argv[1:] if arguments is None else arguments
    for name, module in COMMANDS.items():
        command = import_module(module) if name in given[:1] or not given or given[0].startswith("-") else None
        about = command.__doc__.strip().splitlines()[0] if command else None
        one = choices.add_parser(name, help=about, description=command.__doc__ if command else None)
        if command:
            command.add_arguments(one)
    options = parser.parse_args(given)
    return import_module(COMMANDS[options.command]).run(options)


if __name__ == "__main__":
    sys.exit(main())
