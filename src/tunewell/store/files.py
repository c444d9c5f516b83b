"""Writing files so that a reader sees either the old or the new one, never half of one."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewell.errors import MachineError, TunewellError

_FULL = 128 << 10
_DISK_ERRORS = {
    errno.ENOSPC: ("the disk is full", "free some space, then run the same command again: finished stages are kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, then run the same command again: finished stages are kept"),
    errno.EROFS: ("the file system is read-only", "choose another folder with `--run DIR`"),
    errno.EACCES: ("permission denied", "choose another folder with `--run DIR`, or change its permissions"),
    errno.EPERM: ("operation not permitted", "choose another folder with `--run DIR`, or change its permissions"),
}


@contextmanager
def friendly_disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into a `MachineError` that names the path.

    Libraries report a full disk in many ways (torch: "unexpected pos 44160 vs 44052"), so any failure on a disk without free
    space counts as one.
    """
    try:
        yield
    except TunewellError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code not in _DISK_ERRORS:
            if not _is_full(path):
                raise
            code = errno.ENOSPC
        what, hint = _DISK_ERRORS[code]
        raise MachineError(what, where=str(getattr(error, "filename", None) or path), hint=hint) from error


def _is_full(path: Path) -> bool:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(existing).free < _FULL


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, flush it to disk and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; when the block ends well, it takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`; the system lets go of it when the process ends, however it ends.

    Without `wait`, raises BlockingIOError where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically. NaN and infinity are refused: JSON has no such numbers."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")
