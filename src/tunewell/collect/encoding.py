"""Which encoding a file is in, and its lines as text; what gzip has packed is unpacked on the way."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, cast

from tunewell.collect.archives import HARMLESS_BYTES, MOST_TIMES
from tunewell.collect.problems import RowError

_GZIP = b"\x1f\x8b\x08"
_CHUNK = 1 << 20
_SAMPLED_CHUNKS = 16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASCII = re.compile("[\x00-\x7f]+")
# Real Chinese text is almost all GB2312, a subset of GB18030; a Latin-1 accent before a letter never is.
_LEAST_GB2312 = 0.3


class Span(NamedTuple):
    """A stretch of a file: its bytes, from the start of a line to the end of one, and the number of its first line."""

    start: int
    stop: int
    first_line: int


def is_packed(path: Path) -> bool:
    """Whether gzip has packed the file."""
    with path.open("rb") as handle:
        return handle.read(len(_GZIP)) == _GZIP


def detect_encoding(path: Path) -> str | None:
    """The name of the file's encoding, or None where it contradicts its own byte order mark.

    `path.read_text(encoding=…)` with this name gives the text that offsets count in. Order: a byte order mark (UTF-8, UTF-16,
    UTF-32); UTF-8 where all of it decodes; GB18030 where all of it decodes, most of it is common Chinese, and it does not look
    like UTF-8 with some damage; else `utf-8`, whose undecodable bytes then become problems of single rows.

    Raises `RowError` with the reason `bad_file` where the file is packed and cannot be unpacked.

    Known problem: other double-byte encodings (Big5, Shift JIS) may decode as GB18030 and come out as wrong characters.
    """
    try:
        return _detect(path)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise RowError("bad_file", "is damaged: cannot be unpacked by gzip") from None


def _detect(path: Path) -> str | None:
    with _open_bytes(path) as handle:
        start = handle.read(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name if _decodes(path, name) or name == "utf-8-sig" else None
    if _decodes(path, "utf-8") or _is_damaged_utf8(path):
        return "utf-8"
    return "gb18030" if _is_gb18030(path) else "utf-8"


def open_text(path: Path, encoding: str) -> TextIO:
    """Open for reading with line ends unified; undecodable bytes of UTF-8 come out as U+DC80 to U+DCFF."""
    return io.TextIOWrapper(_open_bytes(path), encoding, _errors(encoding))


def open_span(path: Path, encoding: str, span: Span) -> TextIO:
    """Open one stretch of a file that is not packed. It is held in memory whole."""
    with path.open("rb") as handle:
        handle.seek(span.start)
        content = io.BytesIO(handle.read(span.stop - span.start))
    return io.TextIOWrapper(content, encoding, _errors(encoding))


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding.startswith("utf-8") else "strict"


def _open_bytes(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if is_packed(path) else path.open("rb")


def _chunks(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with _open_bytes(path) as handle:
        limit = max(HARMLESS_BYTES, MOST_TIMES * path.stat().st_size)
        while chunk := handle.read(_CHUNK):
            if handle.tell() > limit:
                raise RowError("bad_file", f"unpacks to more than {limit >> 20} MiB, as bombs do")
            yield decoder.decode(chunk)
    yield decoder.decode(b"", True)


def _decodes(path: Path, encoding: str) -> bool:
    try:
        for _ in _chunks(path, encoding, "strict"):
            pass
    except UnicodeError:
        return False
    return True


def _is_damaged_utf8(path: Path) -> bool:
    whole = broken = 0
    for chunk in islice(_chunks(path, "utf-8", "replace"), _SAMPLED_CHUNKS):
        replaced = chunk.count("\ufffd")
        broken += replaced
        whole += len(_ASCII.sub("", chunk)) - replaced
    return whole > 0 and whole >= broken


def _is_gb18030(path: Path) -> bool:
    characters = common = 0
    try:
        for chunk in _chunks(path, "gb18030", "strict"):
            beyond_ascii = _ASCII.sub("", chunk)
            characters += len(beyond_ascii)
            common += len(beyond_ascii.encode("gb2312", "ignore")) // 2
    except UnicodeError:
        return False
    return common >= _LEAST_GB2312 * characters
