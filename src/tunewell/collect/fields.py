"""What lies under the keys of a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewell.collect.problems import RowError

Row = Mapping[str, Any]

_TYPE_NAMES: Mapping[type, str] = {
    str: "text",
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def fold(row: Row) -> Row:
    """The row with its keys in lower case and without spaces around them; of two that become one, the first counts."""
    folded: dict[str, Any] = {}
    for key, value in row.items():
        folded.setdefault(key.strip().lower(), value)
    return folded


def first_key(row: Row, keys: Sequence[str]) -> str:
    """The first of the keys that the row has, or an empty string."""
    for key in keys:
        if key in row:
            return key
    return ""


def text_at(row: Row, key: str) -> str:
    """The text under a key. Raises `RowError` where there is none."""
    if key not in row:
        raise RowError("missing_keys", f"has no `{key}`")
    value = row[key]
    if not isinstance(value, str):
        raise RowError("wrong_type", f"`{key}` is {type_name(value)} where text is expected")
    return value


def optional_text(row: Row, key: str) -> str:
    """The text under a key, or an empty string. Raises `RowError` where there is something else."""
    return "" if row.get(key) is None else text_at(row, key)


def type_name(value: Any) -> str:
    """What a value is, in words for the user."""
    return _TYPE_NAMES.get(type(value), f"a value of the type {type(value).__name__}")
