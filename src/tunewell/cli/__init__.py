"""The command line: parse, call, print."""

import sys

from tunewell.errors import TunewellError
from tunewell.text import visible


def main() -> None:
    """Run the command line. Errors of the user end in one clear message and their exit code, bugs in a traceback."""
    from tunewell.cli.app import app

    try:
        app()
    except TunewellError as error:
        label = "error: " if error.exit_code else ""
        sys.stderr.write(f"{label}{visible(str(error))}\n")
        sys.exit(error.exit_code)
