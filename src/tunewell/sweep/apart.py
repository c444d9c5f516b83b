"""A run in a process of its own: what ends it ends nothing else, and its peak of memory is its own."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import TunewellError
from tunewell.pipeline import Caller, run_recipe
from tunewell.recipe import Recipe


class Job(NamedTuple):
    """A run to bring up to date, as far as a stage."""

    recipe: Recipe
    folder: Path
    until: str


def run_here(job: Job, caller: Caller) -> str:
    """Bring a run up to date; what it died of in words, or an empty text. A bug leaves its traceback on stderr."""
    try:
        run_recipe(job.recipe, job.folder, until=job.until, caller=caller)
    except TunewellError as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


def run_apart(job: Job, caller: Caller) -> str:
    """The same in a process of its own, of whose stages the caller is told; it ends with this one."""
    # Not a fork: torch and pyarrow run threads by now, and a fork of those may hang.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, caller.command, sender))
    process.start()
    sender.close()
    error = None
    try:
        while error is None:
            event, value = receiver.recv()
            match event:
                case "started":
                    caller.started(value)
                case "ended":
                    caller.ended(value)
                case _:
                    error = value
    except EOFError:
        process.join()
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return _how_it_ended(process.exitcode) if error is None else str(error)


def _work(job: Job, command: str, sender: "Connection[Any, Any]") -> None:
    """What the other process does."""
    threading.Thread(target=_outlive_no_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("tunewell").setLevel(logging.INFO)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        caller = Caller(command, lambda name: sender.send(("started", name)), lambda outcome: sender.send(("ended", outcome)))
        sender.send(("error", run_here(job, caller)))
    except KeyboardInterrupt:  # the first process was interrupted as well, and says so
        os._exit(130)


def _outlive_no_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with code {code}"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}" + (" (so the system does where memory runs out)" if name == "SIGKILL" else "")
