"""Worker processes on this machine."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from tunewell.errors import MachineError
from tunewell.progress import progress_bar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 2


class LocalEngine:
    """One worker process a core; a single item is done in this very process."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item], *, name: str) -> Iterator[_Result]:
        """As `Engine.map`. Raises `MachineError` where a worker is killed, for instance for its memory."""
        workers = min(self._workers, len(items))
        if workers <= 1:
            yield from map(function, items)
            return
        # Not a fork: torch and pyarrow run threads by now, and a fork of those may hang.
        context = multiprocessing.get_context("spawn")
        with (
            progress_bar(name, total=len(items)) as bar,
            ProcessPoolExecutor(workers, mp_context=context, initializer=_stay_quiet_and_die_with_parent) as pool,
        ):
            try:
                for result in _in_order(pool, function, items, ahead=_AHEAD * workers):
                    bar.progress.advance(bar.task)
                    yield result
            except BrokenProcessPool:
                hint = "most often the system ran out of memory: see `dmesg`, free some, then run the same command again"
                raise MachineError("a worker process was killed", hint=hint) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


LOCAL = LocalEngine()
"""The engine of those who ask for none."""


def _in_order(
    pool: ProcessPoolExecutor, function: Callable[[_Item], _Result], items: Sequence[_Item], *, ahead: int
) -> Iterator[_Result]:
    """Results in the order of the items, with no more than `ahead` of them started: memory holds no more results than that."""
    rest = iter(items)
    started: deque[Future[_Result]] = deque(pool.submit(function, item) for item in islice(rest, ahead))
    while started:
        yield started.popleft().result()
        started.extend(pool.submit(function, item) for item in islice(rest, 1))


def _stay_quiet_and_die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def outlive_no_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=outlive_no_parent, daemon=True).start()
