"""Which encoding a file is in, and its lines as text."""

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

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


def detect_encoding(path: Path) -> str | None:
    """The name of the file's encoding, or None where it contradicts its own byte order mark.

    `path.read_text(encoding=…)` with this name gives the text that offsets count in. Order: a byte order mark (UTF-8, UTF-16,
    UTF-32); UTF-8 where all of it decodes; GB18030 where all of it decodes, most of it is common Chinese, and it does not look
    like UTF-8 with some damage; else `utf-8`, whose undecodable bytes then become problems of single rows.

    Known problem: other double-byte encodings (Big5, Shift JIS) may decode as GB18030 and come out as wrong characters.
    """
    with path.open("rb") as handle:
        start = handle.read(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name if name == "utf-8-sig" or _decodes(path, name) else None
    if _decodes(path, "utf-8") or _is_damaged_utf8(path):
        return "utf-8"
    return "gb18030" if _is_gb18030(path) else "utf-8"


def open_text(path: Path, encoding: str) -> TextIO:
    """Open for reading with line ends unified; undecodable bytes of UTF-8 come out as U+DC80 to U+DCFF."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return path.open(encoding=encoding, errors=errors)


def _chunks(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
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
