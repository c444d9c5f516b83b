"""Tables in binary files: Parquet and Excel workbooks."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tunewell.collect.archives import check_archive
from tunewell.collect.problems import Problem, RowError
from tunewell.collect.rows import RawRow

_ROWS_AT_ONCE = 1000
# Excel's own limit: a damaged file may claim row numbers far beyond.
_MOST_SHEET_ROWS = 1 << 20


def parquet_rows(path: Path) -> Iterator[RawRow]:
    """The rows of a Parquet file, read a few at a time; what is null in a row is left out of it."""
    return _until_damage(path, _parquet_rows(path), "Parquet")


def xlsx_rows(path: Path) -> Iterator[RawRow]:
    """The rows of all sheets of a workbook below the header of each, every value as text.

    A cell without a header has the letters of its column as its key. Of a formula the last result counts.
    """
    return _until_damage(path, _xlsx_rows(path), "XLSX")


def _until_damage(path: Path, rows: Iterator[RawRow], kind: str) -> Iterator[RawRow]:
    with path.open("rb"):
        pass  # what cannot be read is the reader's to report, and no damage
    count = 0
    while True:
        try:
            row = next(rows, None)
        except RowError as error:
            problem = error.problem
            break
        except Exception as error:
            # Libraries raise anything on a broken file. Only the class is told: messages may hold addresses, which vary.
            problem = Problem("bad_file", f"is damaged: cannot be read as {kind} ({type(error).__name__})")
            break
        if row is None:
            return
        count = row.row
        yield row
    if count:
        problem = problem._replace(detail=f"{problem.detail}; nothing below row {count} can be read")
    yield RawRow(count + 1, None, problem=problem)


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    import pyarrow.parquet as pq

    row = 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            for value in batch.to_pylist():
                row += 1
                yield RawRow(row, row, {key: cell for key, cell in value.items() if cell is not None})


def _xlsx_rows(path: Path) -> Iterator[RawRow]:
    from openpyxl import load_workbook

    check_archive(path)
    with path.open("rb") as handle:
        with _silence():
            workbook = load_workbook(handle, read_only=True, data_only=True, keep_links=False)
        sheets = workbook.worksheets
        for sheet in sheets:
            sheet.reset_dimensions()  # some programs write wrong ones, and rows beyond would be lost
            place = f"sheet `{sheet.title}`" if len(sheets) > 1 else ""
            records = _quietly(sheet.iter_rows(max_row=_MOST_SHEET_ROWS, values_only=True))
            yield from (row._replace(place=place) for row in _below_header(records))


def _below_header(records: Iterator[Sequence[Any]]) -> Iterator[RawRow]:
    from openpyxl.utils import get_column_letter

    header: list[str] = []
    for row, record in enumerate(records, start=1):
        cells = ["" if cell is None else str(cell) for cell in record]
        if not any(map(str.strip, cells)):
            continue
        if not header:
            header = [name.strip() for name in cells]
            continue
        pairs = enumerate(zip_longest(header, cells, fillvalue=""), start=1)
        named = {name or get_column_letter(column): cell for column, (name, cell) in pairs if name or cell.strip()}
        yield RawRow(row, row, named)


def _quietly(records: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    while True:
        with _silence():
            record = next(records, None)
        if record is None:
            return
        yield record


def _silence() -> "warnings.catch_warnings[None]":
    # About styles and extensions, which make no difference to values.
    return warnings.catch_warnings(action="ignore")
