"""Functions that workers call: they must be importable in another process."""

import os
import signal
import time
from pathlib import Path

from tunewell.errors import DataError


def square(number: int) -> int:
    return number * number


def own_process(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("three is refused", where="items:3", hint="leave it out")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def note_and_wait(folder: Path) -> None:
    (folder / f"worker-{os.getpid()}").touch()
    time.sleep(600)
