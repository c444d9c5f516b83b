"""From the paths in a recipe to files: a file, a folder with all below it, or a glob."""

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tunewell.collect.problems import printable
from tunewell.errors import DataError

Use = Literal["domain", "open", "test"]
_MAGIC = re.compile(r"[*?\[]")


class Source(NamedTuple):
    """One file to read, the recipe key it stands under (`data.domain`, `data.open`, `data.test`), and whether it was named.

    A named file must be readable; one that was only found in a folder or by a glob is passed over when it is not data.
    """

    path: Path
    use: Use
    named: bool

    @property
    def name(self) -> str:
        """The path as text that can be stored: a file name on Linux need not be one."""
        return printable(str(self.path))


def find_sources(paths: Sequence[str], use: Use) -> list[Source]:
    """The files under these paths, in the order of the paths, then of their names; no file twice.

    Folders are walked with symbolic links followed, each folder once; hidden files are passed over. A glob knows `*`, `?`,
    `[…]` and `**`; a folder that matches it is walked. Raises `DataError` where a path matches no file.
    """
    sources: dict[str, Source] = {}
    for text in paths:
        try:
            path = visible_path(Path(text))
            named = path.is_file()
            found = [Source(file, use, named) for file in ([path] if named else _files_below(path))]
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise DataError(f"data.{use}: {what}", where=text, hint="change its permissions, or leave it out") from None
        if not found:
            raise DataError(f"data.{use}: this path matches no file", where=str(path), hint=_hint(path))
        for source in found:
            sources.setdefault(os.path.realpath(source.path), source)
    return list(sources.values())


def visible_path(path: Path) -> Path:
    """The path made absolute, its folders resolved and its last name kept: a link's own name tells more than its target's."""
    if path.is_dir():
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


def _files_below(path: Path) -> list[Path]:
    if path.is_dir():
        return list(_walk(path))
    first = next((index for index, part in enumerate(path.parts) if _MAGIC.search(part)), None)
    if first is None:
        return []
    matches = list(_expand(Path(*path.parts[:first]), path.parts[first:]))
    return [file for match in matches for file in (_walk(match) if match.is_dir() else [match])]


def _walk(folder: Path) -> Iterator[Path]:
    for root, names in _folders(folder):
        yield from (root / name for name in sorted(names) if not name.startswith(".") and (root / name).is_file())


def _folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    visited: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        identity = os.path.realpath(root)
        if identity in visited:
            folders.clear()
            continue
        visited.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(root), names


def _expand(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    # Not `glob.glob`: it goes round a loop of links up to the system's limit, and round two loops for ever.
    if not parts:
        if base.is_dir() or base.is_file():
            yield base
    elif parts[0] == "**":
        for folder, _ in _folders(base):
            yield from _expand(folder, parts[1:] or ["*"])
    elif base.is_dir():
        for name in sorted(entry.name for entry in base.iterdir()):
            if fnmatch.fnmatchcase(name, parts[0]) and (not name.startswith(".") or parts[0].startswith(".")):
                yield from _expand(base / name, parts[1:])


def _refuse(error: OSError) -> None:
    raise error


def _hint(path: Path) -> str:
    if path.is_dir():
        return "the folder holds no files (hidden ones do not count)"
    if path.exists():
        return "it is neither a file nor a folder"
    parent = next((folder for folder in path.parents if folder.is_dir()), path.parent)
    return f"paths are relative to the recipe's folder; the nearest folder there is: {parent}"
