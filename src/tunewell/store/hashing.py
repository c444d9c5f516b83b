"""Hashes of values, files and folders, by which a stage knows whether its inputs have changed."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import platformdirs

_CHUNK = 1 << 20
_WORTH_REMEMBERING = 32 << 20


def digest(value: Any) -> str:
    """32 hex digits of the hash of a JSON value, independent of the order of its keys."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def short_digest(text: str) -> int:
    """64 bits of the hash of a text: what a row, a family or a token is known by where millions of them must fit in memory."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def file_digest(path: Path) -> str:
    """32 hex digits of the hash of a file's content.

    The hash of a file above 32 MiB is remembered in the user's cache by path, size and time of change, so that the weights
    of a large model are read once.
    """
    status = path.stat()
    if status.st_size < _WORTH_REMEMBERING:
        return _read_and_hash(path)
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    cache = Path(platformdirs.user_cache_dir("tunewell")) / "hashes.sqlite"
    try:
        return _remembered(cache, key, path)
    except (sqlite3.Error, OSError):
        return _read_and_hash(path)


def folder_digest(folder: Path, *, without: Collection[str] = ()) -> str:
    """32 hex digits of the hash of the names and contents of all files below a folder.

    Hidden files are left out, and the files and folders named in `without` that lie in the folder itself.
    """
    names = sorted(
        os.path.relpath(os.path.join(root, name), folder)
        for root, _, files in os.walk(folder)
        for name in files
        if not name.startswith(".")
    )
    kept = [name for name in names if Path(name).parts[0] not in without]
    return digest([[name, file_digest(folder / name)] for name in kept])


def _read_and_hash(path: Path) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _remembered(cache: Path, key: str, path: Path) -> str:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache, timeout=10)) as connection, connection:
        connection.execute("create table if not exists hashes (key text primary key, digest text)")
        row = connection.execute("select digest from hashes where key = ?", (key,)).fetchone()
        if row is not None:
            return str(row[0])
        value = _read_and_hash(path)
        connection.execute("insert or replace into hashes values (?, ?)", (key, value))
        return value
