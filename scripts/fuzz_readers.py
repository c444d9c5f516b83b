"""Feed damaged files to the readers: `python scripts/fuzz_readers.py -max_total_time=180`. Needs `pip install atheris`.

What is no error of ours ends the run; its input, kept as `crash-…`, is tried again when given as the argument.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

import atheris
import pyarrow as pa
from pyarrow import parquet

with atheris.instrument_imports(include=["tunewell.collect"]):
    from tunewell.collect.reader import is_document, layout_of, readings
    from tunewell.collect.sources import Source
    from tunewell.errors import TunewellError

_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".yaml", ".xlsx", ".md", ".txt", ".jsonl.gz", "")
_ROW = {"instruction": "<user>: 你好 <bot>: hi", "input": ["a"], "output": ["b"], "history": [["c", "d"]], "label": 1}
_TEXTS = (json.dumps(_ROW) + "\n[]\n", json.dumps([[_ROW], {"data": [_ROW]}]), 'q,a\n"1",2\n', "- q: &x 1\n  a: *x\n---\nq: [a]\n")


def read(content: bytes) -> None:
    """Read a file whose name the first byte chooses. Documents are left to processes of their own, and so left out."""
    path = Path(tempfile.gettempdir()) / f"fuzzed{_SUFFIXES[content[0] % len(_SUFFIXES)] if content else ''}"
    path.write_bytes(content[1:])
    for source in (Source(path, "domain", named=True), Source(path, "test", named=False)):
        with contextlib.suppress(TunewellError):
            layout = layout_of(source)
            if not is_document(layout.container) or layout.encoding:
                list(readings(source, layout))


if __name__ == "__main__":
    seeds = Path(tempfile.mkdtemp())
    parquet.write_table(pa.Table.from_pylist([_ROW] * 3), seeds / "table")
    for number, seed in enumerate([(seeds / "table").read_bytes(), *map(str.encode, _TEXTS)]):
        (seeds / f"seed-{number}").write_bytes(bytes([number]) + seed)
    atheris.Setup(sys.argv if Path(sys.argv[-1]).is_file() and sys.argv[1:] else [*sys.argv, str(seeds)], read)
    atheris.Fuzz()
