"""LLaMA-Factory's `dataset_info.json`: a list of data sets, with the names of their keys."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.collect.problems import printable
from tunewell.errors import DataError

CATALOGUE_NAME = "dataset_info.json"

_MOST_BYTES = 4 << 20
_HUBS = ("hf_hub_url", "ms_hub_url", "om_hub_url")
_PLACES = ("file_name", *_HUBS, "script_url", "cloud_file_name")
_HINT = "mend the entry, or take it out of the catalogue"
# The catalogue's word for a column, and the key under which our formats know it.
_COLUMNS: Mapping[str, str] = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "messages": "conversations",
    "system": "system",
    "tools": "tools",
}
_COLUMNS_OF: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("prompt", "query", "response", "history", "system", "tools"),
    "sharegpt": ("messages", "system", "tools"),
}
_TURN_KEYS: Mapping[str, str] = {"role_tag": "from", "content_tag": "value"}
_ROLES: Mapping[str, str] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
    "observation_tag": "observation",
    "function_tag": "function_call",
}
# What a row says about itself is no column of the conversation, so no catalogue names it.
_ABOUT_THE_ROW = ("topic", "category", "source", "task")
_UNUSED_COLUMNS: Mapping[str, str] = {
    "images": "its rows hold images",
    "videos": "its rows hold videos",
    "audios": "its rows hold sounds",
    "kto_tag": "its answers are rated (kto_tag), and not all good",
    "chosen": "its rows hold answers to choose from (ranking)",
}


class Rename(NamedTuple):
    """What something is called in a file, and what it is called here."""

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class KeyNames:
    """What a data set calls things: the keys of a row, the keys of a turn, and the roles of those who speak.

    With `keys` empty a row's own keys hold; otherwise the row consists of these alone.
    """

    keys: tuple[Rename, ...] = ()
    turn_keys: tuple[Rename, ...] = ()
    roles: tuple[Rename, ...] = ()


class Entry(NamedTuple):
    """A data set of a catalogue: a file or a folder of files, and what its rows call things (None: the usual)."""

    name: str
    path: Path
    names: KeyNames | None


class LeftOut(NamedTuple):
    """A data set of a catalogue that is not read, its local file if it has one, and why."""

    catalogue: str
    name: str
    path: Path | None
    why: str


class Catalogue(NamedTuple):
    """The data sets of a catalogue, in its order."""

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


def rename(row: Mapping[str, Any], names: KeyNames) -> dict[str, Any]:
    """The row with keys, keys of turns and roles as they are called here; nothing in it is checked.

    >>> rename({"q": "Fee?", "a": "1 %"}, KeyNames(keys=(Rename("q", "instruction"), Rename("a", "output"))))
    {'instruction': 'Fee?', 'output': '1 %'}
    """
    renamed = dict(row)
    if names.keys:
        renamed = {key: row[key] for key in _ABOUT_THE_ROW if key in row}
        renamed |= {ours: row[theirs] for theirs, ours in names.keys if theirs in row}
    turns = renamed.get("conversations")
    if isinstance(turns, list) and (names.turn_keys or names.roles):
        renamed["conversations"] = [_renamed_turn(turn, names) for turn in turns]
    return renamed


def read_catalogue(path: Path) -> Catalogue | None:
    """The data sets that a file lists, or None where it is no catalogue.

    A catalogue is a JSON object of objects that say where their data lie: all of them, or one at least where the file is
    called `dataset_info.json`. Raises `DataError` where an entry is malformed or its file is missing, and `OSError` where the
    file cannot be read.
    """
    listed = _listed(path)
    if listed is None:
        return None
    entries: dict[str, Entry] = {}
    left_out: list[LeftOut] = []
    for name, entry in listed.items():
        where = f"{printable(str(path))}: {printable(name)}"
        file_name = entry.get("file_name")
        if not isinstance(file_name, str | None):
            raise DataError("`file_name` is not text", where=where, hint=_HINT)
        why = _why_unused(entry, where)
        if not why and file_name in entries:
            why = f"its file is read already, as {printable(entries[file_name].name)}"
        file = path.parent / (file_name or "")
        if why:
            left_out.append(LeftOut(printable(str(path)), printable(name), file if file_name else None, why))
        elif not _exists(file):
            raise DataError(f"its file {printable(str(file_name))} does not exist", where=where, hint=_HINT)
        else:
            entries[str(file_name)] = Entry(name, file, _key_names(entry, where))
    return Catalogue(tuple(entries.values()), tuple(left_out))


def _listed(path: Path) -> dict[str, dict[str, Any]] | None:
    with path.open("rb") as handle:
        content = handle.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES or not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return None
    try:
        listed = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(entry, dict) for entry in listed.values()):
        return None
    enough = any if path.name == CATALOGUE_NAME else all
    return listed if listed and enough(not entry.keys().isdisjoint(_PLACES) for entry in listed.values()) else None


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):
        return False


def _why_unused(entry: Mapping[str, Any], where: str) -> str:
    columns = _texts(entry, "columns", where)
    if not entry.get("file_name"):
        if not entry.keys().isdisjoint(_HUBS):
            return "it lies on a hub: download it, and give the entry a file_name"
        if "script_url" in entry:
            return "a script of its own makes it"
        return "it lies in cloud storage" if "cloud_file_name" in entry else "it names no file"
    if entry.get("ranking"):
        return _UNUSED_COLUMNS["chosen"]
    for column, why in _UNUSED_COLUMNS.items():
        if column in columns:
            return why
    if columns and _formatting(entry, where) == "alpaca" and "response" not in columns:
        return "it has no column of answers"
    return ""


def _key_names(entry: Mapping[str, Any], where: str) -> KeyNames | None:
    formatting = _formatting(entry, where)
    columns = _texts(entry, "columns", where)
    tags = _texts(entry, "tags", where) if formatting == "sharegpt" else {}
    if formatting == "sharegpt" and columns:
        columns = {"messages": "conversations", **columns}
    names = KeyNames(
        keys=tuple(Rename(columns[word], _COLUMNS[word]) for word in _COLUMNS_OF[formatting] if word in columns),
        turn_keys=tuple(_renames(tags, _TURN_KEYS)),
        roles=tuple(_renames(tags, _ROLES)),
    )
    return None if names == KeyNames() else names


def _renames(tags: Mapping[str, str], known: Mapping[str, str]) -> Iterator[Rename]:
    return (Rename(tags[tag], ours) for tag, ours in known.items() if tag in tags)


def _formatting(entry: Mapping[str, Any], where: str) -> str:
    formatting = entry.get("formatting", "alpaca")
    if formatting not in tuple(_COLUMNS_OF):
        known = " or ".join(_COLUMNS_OF)
        raise DataError(f"`formatting` is {printable(json.dumps(formatting))} where {known} is expected", where=where, hint=_HINT)
    return str(formatting)


def _texts(entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    values = entry.get(key) or {}
    if not isinstance(values, dict) or not all(isinstance(value, str | None) for value in values.values()):
        raise DataError(f"`{key}` is not an object of texts", where=where, hint=_HINT)
    return {name: value for name, value in values.items() if value}


def _renamed_turn(turn: Any, names: KeyNames) -> Any:
    if not isinstance(turn, dict):
        return turn
    keys = dict(names.turn_keys)
    renamed = {keys.get(key, key): value for key, value in turn.items()}
    speaker = "from" if "from" in renamed else "role"
    role = renamed.get(speaker)
    if isinstance(role, str):
        renamed[speaker] = dict(names.roles).get(role, role)
    return renamed
