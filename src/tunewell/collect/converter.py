"""The process in which documents are opened: whatever a file does there, its parent lives on.

Libraries for PDF and Office files can be made to loop, or to fill the memory. So they work in a child that the system stops
after a time and beyond an amount of memory. It takes requests one at a time over a pipe, as JSON.
"""

import contextlib
import json
import logging
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tunewell.collect.archives import check_archive
from tunewell.collect.encoding import detect_encoding
from tunewell.collect.furniture import without_furniture
from tunewell.collect.problems import RowError

MEMORY_LIMIT = 4 << 30
"""Bytes of address space."""

# Links and underlines are for the eye; pictures cannot be read. Text is not escaped, as nobody renders it.
_STYLE: Mapping[str, Any] = {
    "strip": ["a", "img", "u"],
    "bullets": "-",
    "escape_asterisks": False,
    "escape_underscores": False,
    "table_infer_header": True,
}
_DECLARED_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^<>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_CHARSET_WITHIN = 4096
# What browsers do, too: pages that claim the small set often use the large one.
_LARGER_CHARSETS: Mapping[str, str] = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SLIDE_MARK = re.compile(r"<!-- Slide number: \d+ -->")
_PICTURE = re.compile(r"!\[[^\[\]\n]{0,1000}\]\([^()\n]{0,1000}\)")
_ENCRYPTION_ERRORS = ("PDFPasswordIncorrect", "PDFEncryptionError")


def main() -> None:
    """Serve the pipe whose number is the program's one argument."""
    serve(Connection(int(sys.argv[1])))


def serve(pipe: Connection) -> None:
    """Answer requests `{path, kind, seconds}` with `{markdown}` or `{problem}` until the other side is closed."""
    with contextlib.suppress(ValueError, OSError):  # a lower limit may be in force already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    while True:
        try:
            request = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])  # its signal ends the process
        reply = _reply(Path(request["path"]), request["kind"])
        pipe.send_bytes(json.dumps(reply).encode())
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reply(path: Path, kind: str) -> dict[str, str]:
    try:
        return {"markdown": _CONVERSIONS[kind](path)}
    except RowError as error:
        return {"problem": error.problem.detail}
    except MemoryError:
        return {"problem": f"needs more than {MEMORY_LIMIT >> 30} GiB of memory to open"}
    except RecursionError:
        return {"problem": "is damaged: nested without end"}
    except Exception as error:
        # Libraries raise anything on a broken file. Only the class is told: messages may hold addresses, which vary.
        if type(error).__name__ in _ENCRYPTION_ERRORS:
            return {"problem": "is encrypted: save it without a password"}
        return {"problem": f"is damaged: cannot be read as {kind.upper()} ({type(error).__name__})"}


def _html(path: Path) -> str:
    from markitdown.converters import HtmlConverter

    return str(HtmlConverter().convert_string(without_furniture(_decoded(path)), **_STYLE).markdown)


def _pdf(path: Path) -> str:
    # Not markitdown's own converter: it takes prose for tables, glues words together, and needs three times as long.
    from pdfminer.high_level import extract_text

    return extract_text(path).replace("\f", "\n\n")


def _docx(path: Path) -> str:
    from markitdown.converters import DocxConverter

    check_archive(path)
    return _converted(path, DocxConverter, **_STYLE)


def _pptx(path: Path) -> str:
    from markitdown.converters import PptxConverter

    check_archive(path)
    return _PICTURE.sub("", _SLIDE_MARK.sub("", _converted(path, PptxConverter)))


def _converted(path: Path, make: Callable[[], Any], **style: Any) -> str:
    from markitdown import StreamInfo

    with path.open("rb") as handle:
        return str(make().convert(handle, StreamInfo(extension=path.suffix), **style).markdown)


_CONVERSIONS: Mapping[str, Callable[[Path], str]] = {"html": _html, "pdf": _pdf, "docx": _docx, "pptx": _pptx}


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    declared = _DECLARED_CHARSET.search(content[:_CHARSET_WITHIN])
    claimed = declared[1].decode("ascii", "replace").lower() if declared else ""
    for encoding in (marked, _LARGER_CHARSETS.get(claimed, claimed)):
        with contextlib.suppress(UnicodeError, LookupError):
            if encoding:
                return content.decode(encoding)
    return content.decode(detect_encoding(path) or "utf-8", "replace")
