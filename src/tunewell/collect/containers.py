"""The forms of a file, told apart by content, and the raw rows in each.

To add a container: one function that gives `RawRow`s, one line in a table below, and its mark in `recognise_container` or, for
binary files, in `reader.layout_of`.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath
from typing import TextIO

from tunewell.collect.binaryfiles import parquet_rows, xlsx_rows
from tunewell.collect.csvfiles import csv_rows, is_header
from tunewell.collect.jsonfiles import SPACE, json_document, json_lines, parse_whole
from tunewell.collect.rows import RawRow
from tunewell.collect.yamlfiles import is_list_of_rows, yaml_rows

TEXT_CONTAINERS: Mapping[str, Callable[[TextIO], Iterator[RawRow]]] = {
    "jsonl": json_lines,
    "json": json_document,
    "csv": csv_rows,
    "yaml": yaml_rows,
}
"""How the rows of a text are read."""

BINARY_CONTAINERS: Mapping[str, Callable[[Path], Iterator[RawRow]]] = {"parquet": parquet_rows, "xlsx": xlsx_rows}
"""How the rows of a binary file are read."""

_OPENINGS = ("[", "{", "[{")
_GOES_ON = ("[", "{", ",", ":")
_LONGEST_LINE = 4 << 20
_SAMPLE = 20
_MARKDOWN = (".md", ".markdown", ".mdown")
_BY_NAME: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".txt": "text",
}


def recognise_container(handle: TextIO, path: PurePath) -> str | None:
    """The container of an open text: a key of `TEXT_CONTAINERS`, `markdown` or `text`; None where it is no data.

    Markdown goes by its name. All else goes by its first two lines that are not blank: a whole JSON value with more lines below
    is JSON Lines, a bracket or brace opens a JSON document, a header or list with known keys makes a CSV or YAML file. The name
    decides where these do not.
    """
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    lines = list(islice(_lines(handle), 2))
    first, second = [*(line.strip(SPACE) for line in lines), "", ""][:2]
    by_name = _BY_NAME.get(suffix)
    if first.startswith(("{", "[")) and len(lines[0]) == _LONGEST_LINE:
        return "jsonl" if by_name == "jsonl" else "json"
    if first.startswith(("{", "[")):
        by_content = _json_container(first, second, by_name)
        if by_content:
            return by_content
    if is_header(first):
        return "csv"
    return "yaml" if is_list_of_rows(lines) else by_name


def is_bare_list(handle: TextIO) -> bool:
    """Whether a JSON document is a list of bare values, such as names: none of its first members is an object or a list."""
    if next(_lines(handle), "").lstrip(SPACE)[:1] != "[":
        return False
    handle.seek(0)
    problems = [row.problem for row in islice(json_document(handle), _SAMPLE)]
    return bool(problems) and all(problem and problem.reason == "not_object" for problem in problems)


def _lines(handle: TextIO) -> Iterator[str]:
    # A list of a gigabyte may be one line.
    while line := handle.readline(_LONGEST_LINE):
        if line.strip(SPACE):
            yield line


def _json_container(first: str, second: str, by_name: str | None) -> str | None:
    if by_name == "json" and not second:
        return "json"
    if not parse_whole(first).trouble:
        return "jsonl" if second else "json"
    if by_name == "jsonl":
        is_pretty = first.startswith("[") or (first == "{" and not second.startswith("{"))
        return "json" if is_pretty else "jsonl"
    if by_name == "json":
        # A first row that is broken, with whole ones below, is no reason to misread all of them.
        return "jsonl" if second.startswith("{") and not first.endswith(_GOES_ON) else "json"
    return "json" if first in _OPENINGS else None
