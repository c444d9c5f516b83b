"""CSV and TSV files."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain

from tunewell.collect.jsonfiles import SPACE
from tunewell.collect.problems import Problem, flaw
from tunewell.collect.rows import RawRow, has_form

_LONGEST_FIELD = 2**31 - 1
_DELIMITERS = ",\t;|"


def csv_rows(handle: Iterable[str]) -> Iterator[RawRow]:
    """The records of a CSV or TSV file below its header, each with the line on which it starts.

    The delimiter is the one of comma, tab, semicolon and bar that gives the header known keys, else the most columns.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    lines = iter(handle)
    top = list(_up_to_first_text(lines))
    records = csv.reader(chain(top, lines), delimiter=_delimiter("".join(top[-1:])), strict=True)
    header: list[str] = []
    while True:
        line = records.line_num + 1
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield RawRow(line, line, problem=Problem("bad_csv", _explain(error)))
            if not header:
                return
            continue
        if not any(field.strip(SPACE) for field in record):
            continue
        if header:
            yield _row(line, header, record)
        else:
            header = [name.strip(SPACE) for name in record]


def is_header(line: str) -> bool:
    """Whether a line is a header that names the keys of a known format."""
    return has_form(dict.fromkeys(_cells(line, _delimiter(line)), ""))


def _up_to_first_text(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line.strip(SPACE):
            return


def _delimiter(header: str) -> str:
    def worth(delimiter: str) -> tuple[bool, int]:
        cells = _cells(header, delimiter)
        return has_form(dict.fromkeys(cells, "")), len(cells)

    return max(_DELIMITERS, key=worth)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip(SPACE) for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _row(line: int, header: list[str], record: list[str]) -> RawRow:
    problem = next(filter(None, map(flaw, record)), None)
    if problem is None and len(record) > len(header):
        what = f"{len(record)} fields where the header has {len(header)}: is a text with the delimiter in it not quoted?"
        problem = Problem("bad_csv", what)
    return RawRow(line, line, None if problem else dict(zip(header, record, strict=False)), problem)


def _explain(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quoted field that opens in this row is never closed; nothing below can be read"
    return f"not CSV: {error}"
