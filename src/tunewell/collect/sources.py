"""From the paths in a recipe to files: a file, a folder with all below it, a glob, or a catalogue of data sets."""

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tunewell.collect.catalogue import CATALOGUE_NAME, KeyNames, LeftOut, read_catalogue
from tunewell.collect.problems import printable
from tunewell.errors import DataError

Use = Literal["domain", "open", "test"]
_MAGIC = re.compile(r"[*?\[]")


class Source(NamedTuple):
    """One file to read, the recipe key it stands under (`data.domain`, `data.open`, `data.test`), and whether it was named.

    A named file must be readable; one that was only found in a folder or by a glob is passed over when it is not data.
    `names` are the names of keys that a catalogue gives for its rows, to be put right by `catalogue.rename`.
    """

    path: Path
    use: Use
    named: bool
    names: KeyNames | None = None

    @property
    def name(self) -> str:
        """The path as text that can be stored: a file name on Linux need not be one."""
        return printable(str(self.path))


class Found(NamedTuple):
    """The files under some paths, and the data sets of catalogues among them that are not read, each with its reason."""

    sources: list[Source]
    left_out: list[LeftOut]


def look_up(paths: Sequence[str], use: Use) -> Found:
    """The files under these paths, in the order of the paths, then of their names; no file twice.

    Folders are walked with symbolic links followed, each folder once; hidden files are passed over. A glob knows `*`, `?`,
    `[…]` and `**`; a folder that matches it is walked. A catalogue, which is a file called `dataset_info.json` or a file
    named that has this form, stands for its data sets, and tells how the files beside it are to be read. Raises `DataError`
    where a path matches no file.
    """
    sources: dict[str, Source] = {}
    left_out: list[LeftOut] = []
    identity = _Identity()
    for text in paths:
        try:
            path = visible_path(Path(text))
            named = path.is_file()
            files = [path] if named else _files_below(path)
            listed = _listed(files, use, named=named)
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or str(error)
            where = getattr(error, "filename", None) or text
            raise DataError(
                f"data.{use}: {what}", where=printable(str(where)), hint="change its permissions, or leave it out"
            ) from None
        if not files:
            raise DataError(f"data.{use}: this path matches no file", where=printable(str(path)), hint=_hint(path))
        described = {identity.of(source.path): source for source in reversed(listed.sources)}
        passed_over = {identity.of(file) for file in listed.passed_over} - described.keys()
        plain = (Source(file, use, named) for file in files)
        for source in [*plain, *listed.sources]:
            key = identity.of(source.path)
            if key not in passed_over:
                sources.setdefault(key, described.get(key, source))
        left_out += listed.left_out
    return Found(list(sources.values()), left_out)


def visible_path(path: Path) -> Path:
    """The path made absolute, its folders resolved and its last name kept: a link's own name tells more than its target's."""
    if path.is_dir():
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


class _Identity:
    """What makes two paths the same file. To resolve each of many paths is slow, so only links and folders are resolved."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: Path) -> str:
        if path.is_symlink():
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)


class _Listed(NamedTuple):
    sources: list[Source]
    left_out: list[LeftOut]
    passed_over: list[Path]


def _listed(files: Sequence[Path], use: Use, *, named: bool) -> _Listed:
    """What the catalogues among the files say; passed over are they themselves, and the files they rule out."""
    listed = _Listed([], [], [])
    for file in files:
        catalogue = read_catalogue(file) if named or file.name == CATALOGUE_NAME else None
        if catalogue is None:
            continue
        listed.passed_over.append(file)
        listed.left_out.extend(catalogue.left_out)
        ruled_out = (left_out.path for left_out in catalogue.left_out if left_out.path)
        listed.passed_over.extend(member for path in ruled_out for member in _members(path))
        for entry in catalogue.entries:
            sources = [Source(member, use, entry.path.is_file(), entry.names) for member in _members(entry.path)]
            listed.sources.extend(sources)
            if not sources:
                why = "its folder holds no files"
                listed.left_out.append(LeftOut(printable(str(file)), printable(entry.name), entry.path, why))
        if named and not listed.sources:
            raise DataError(
                f"data.{use}: no data set in this catalogue can be read", where=printable(str(file)), hint=_reasons(listed)
            )
    return listed


def _members(path: Path) -> list[Path]:
    visible = visible_path(path)
    return [visible] if visible.is_file() else _files_below(visible)


def _reasons(listed: _Listed) -> str:
    return "; ".join(f"{left_out.name}: {left_out.why}" for left_out in listed.left_out[:3])


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
