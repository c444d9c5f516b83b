"""How much memory this process has needed, and giving back what it no longer does."""

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # numbers of mallopt(3)


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes.

    On Linux that is not what `getrusage` says: its figure starts from the process that this one was started by.
    """
    if sys.platform == "linux":
        return _kernel_figure("self/status", "VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    if sys.platform == "linux":
        return _kernel_figure("meminfo", "MemAvailable")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _kernel_figure(file: str, name: str) -> int:
    """Bytes that Linux gives in a file of `/proc` under this name."""
    lines = dict(line.split(":", 1) for line in (Path("/proc") / file).read_text(encoding="utf-8").splitlines())
    return int(lines[name].split()[0]) * 1024


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """While this is open, what is let go stays with this process instead of going back to the system at once.

    Work that takes and drops tensors of the same sizes over and over otherwise has each page handed out and cleared anew: that was
    a seventh of a step of full fine-tuning (SmolLM2-135M). The peak stays where it is. Only glibc can be told.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # where glibc's own adaptation ends up in a process with large tensors
        mallopt(_MMAP_THRESHOLD, 2**25)
        mallopt(_TRIM_THRESHOLD, 2**26)
        _trim()


def release_memory() -> None:
    """Collect garbage and hand freed memory back to the system: glibc keeps gigabytes that torch has let go of.

    Called where nothing large is alive. What is, modules above all, millions of objects, is not looked at the next time.
    """
    gc.collect()
    gc.freeze()
    _trim()


def _trim() -> None:
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
