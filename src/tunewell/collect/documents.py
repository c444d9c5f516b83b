"""Web pages, PDF and Office files: told by their content, and turned into Markdown."""

import atexit
import importlib.util
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tunewell.collect.archives import office_kind
from tunewell.collect.problems import RowError
from tunewell.errors import MachineError

TIME_LIMIT = 60.0
"""Seconds that the conversion of one file may take."""

_HEAD = 64 << 10
_PDF_WITHIN = 1024
_PDF_END_WITHIN = 2048
_MARKDOWN_NAMES = (".md", ".markdown", ".mdown")
_HTML_NAMES = (".html", ".htm", ".xhtml")
_PROLOGUE = re.compile(r"(?:\s|\ufeff|<!--.*?-->|<\?xml[^>]*\?>)*", re.DOTALL)
_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[a-z][a-z0-9]*[\s/>]", re.IGNORECASE)
_PACKAGES: Mapping[str, str] = {"html": "markitdown", "pdf": "pdfminer", "docx": "mammoth", "pptx": "pptx"}
_PROGRAM = "from tunewell.collect.converter import main; main()"
_BLANK_LINES = re.compile(r"\n{3,}")


def document_kind(path: Path) -> str | None:
    """`html`, `pdf`, `docx`, `pptx` or `xlsx`, or None for any other file. Raises `OSError` where it cannot be read.

    A Markdown file is none of these, whatever tags it begins with. A part of a web page, without `html` or `body`, counts as
    one where the file's name says so, too.
    """
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN_NAMES:
        return None
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
        handle.seek(max(0, handle.seek(0, os.SEEK_END) - _PDF_END_WITHIN))
        tail = handle.read()
    if _is_pdf(head, tail):
        return "pdf"
    return "html" if _is_html(head, suffix) else office_kind(path)


def to_markdown(path: Path, kind: str) -> str:
    r"""The document as Markdown with `\n` line ends; `kind` is `html`, `pdf`, `docx` or `pptx`.

    The work is done in a process of its own, which is kept for the next file. Raises `RowError` with the reason `bad_file`
    where the file is damaged, encrypted, hostile or without text, `MachineError` where a package is missing, and `OSError`
    where the file cannot be read.
    """
    _require_packages(kind, path)
    with path.open("rb"):
        pass  # what cannot be read is the reader's to report, and no damage
    markdown = _tidy(_converted(path, kind))
    if not any(map(str.isalnum, markdown)):
        scanned = ": scanned pages need OCR first" if kind == "pdf" else ""
        raise RowError("bad_file", f"holds no text{scanned}")
    return markdown


def _is_pdf(head: bytes, tail: bytes) -> bool:
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    # Some have a few bytes before their mark; a text may quote the mark, but not the end of the file with it.
    return first.startswith(b"%PDF-") or (b"%PDF-" in head[:_PDF_WITHIN] and b"startxref" in tail)


def _is_html(head: bytes, suffix: str) -> bool:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    text = head.decode(encoding, "replace")
    prologue = _PROLOGUE.match(text)
    start = prologue.end() if prologue else 0
    return bool(_PAGE.match(text, start) or (suffix in _HTML_NAMES and _ANY_TAG.match(text, start)))


def _require_packages(kind: str, path: Path) -> None:
    for package in ("markitdown", _PACKAGES[kind]):
        if importlib.util.find_spec(package) is None:
            what = f"reading {kind.upper()} files takes the package {package}, which is not installed"
            raise MachineError(what, where=str(path), hint="pip install 'tunewell[documents]'")


def _tidy(markdown: str) -> str:
    lines = markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ").split("\n")
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip() + "\n"


class _Converter:
    """A running child process, and the pipe to it."""

    def __init__(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno())]
        quiet = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, pass_fds=[theirs.fileno()], stdin=quiet, stdout=quiet, stderr=quiet
            )

    def ask(self, request: Mapping[str, object]) -> dict[str, str]:
        """The reply. Raises `RowError` where the process ends over it."""
        try:
            self._pipe.send_bytes(json.dumps(request).encode())
            reply: dict[str, str] = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise RowError("bad_file", self._why_it_ended()) from None
        return reply

    def close(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def _why_it_ended(self) -> str:
        if self._process.wait() == -signal.SIGALRM:
            return f"takes more than {TIME_LIMIT:g} seconds to convert"
        return "crashes the program that converts it"


# By process: a fork must not talk over its parent's pipe.
_converters: dict[int, _Converter] = {}


def _converted(path: Path, kind: str) -> str:
    if os.getpid() not in _converters:
        _converters[os.getpid()] = _Converter()
    try:
        reply = _converters[os.getpid()].ask({"path": str(path.absolute()), "kind": kind, "seconds": TIME_LIMIT})
    except BaseException:
        _stop_converter()  # after an interruption too, lest the next file gets this one's reply
        raise
    if "problem" in reply:
        raise RowError("bad_file", reply["problem"])
    return reply["markdown"]


@atexit.register
def _stop_converter() -> None:
    running = _converters.pop(os.getpid(), None)
    if running is not None:
        running.close()
