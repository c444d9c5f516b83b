"""Office files are ZIP archives of XML: what one is by its members, and whether it is safe to unpack."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from tunewell.collect.problems import RowError

MOST_BYTES = 512 << 20
"""No archive may unpack to more."""
MOST_TIMES = 200
"""No archive above `HARMLESS_BYTES` may unpack to more than this many times its size: real text shrinks to a tenth."""
HARMLESS_BYTES = 64 << 20

_CHUNK = 1 << 20
_HEAD = 64 << 10
_ENCRYPTED_FLAG = 1
_FOLDERS: Mapping[str, str] = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx"}
_MARKUP = (".xml", ".rels", ".vml")
# Office files never declare a document type; whoever does so wants entities expanded, a billion times or from other files.
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_LONGEST_DECLARATION = len(b"<!DOCTYPE")
# The folder that holds an Office file with a password: its streams have names in UTF-16.
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")


def office_kind(path: Path) -> str | None:
    """`docx`, `pptx` or `xlsx`, or None for any other file.

    The members tell. A ZIP cut short is looked through for their names, and a file under a password goes by its own name.
    """
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    if head.startswith(_COMPOUND_FILE):
        suffix = path.suffix.lower().removeprefix(".")
        return suffix if suffix in _FOLDERS.values() and _is_encrypted(path) else None
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return next((kind for folder, kind in _FOLDERS.items() if folder.encode() in head), None)
    return next((kind for folder, kind in _FOLDERS.items() if any(name.startswith(folder) for name in names)), None)


def check_archive(path: Path) -> None:
    """Raise `RowError` with the reason `bad_file` unless the archive is whole and safe to unpack.

    Refused are archives under a password, ZIP bombs (by what the directory says, then by what comes out, as it may lie), and
    markup that declares a document type. Everything is unpacked once, a piece at a time.
    """
    if _is_encrypted(path):
        raise RowError("bad_file", "is encrypted: save it without a password")
    allowed = _allowed_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
                raise RowError("bad_file", "is encrypted: save it without a password")
            _refuse_above(allowed, sum(member.file_size for member in members))
            unpacked = 0
            for member in members:
                unpacked += _unpack(archive, member, allowed - unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError):
        raise RowError("bad_file", "is damaged: not a whole ZIP archive") from None


def _allowed_bytes(path: Path) -> int:
    return min(MOST_BYTES, max(HARMLESS_BYTES, MOST_TIMES * path.stat().st_size))


def _refuse_above(allowed: int, unpacked: int) -> None:
    if unpacked > allowed:
        raise RowError("bad_file", f"unpacks to more than {allowed >> 20} MiB, as ZIP bombs do")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowed: int) -> int:
    is_markup = member.filename.lower().endswith(_MARKUP)
    unpacked, overlap = 0, b""
    with archive.open(member) as handle:
        while chunk := handle.read(_CHUNK):
            unpacked += len(chunk)
            _refuse_above(allowed, unpacked)
            if is_markup:
                text = overlap + chunk.replace(b"\0", b"")  # without NUL bytes UTF-16 reads as ASCII
                if _DECLARATION.search(text):
                    raise RowError("bad_file", f"declares entities in `{member.filename}`, as no Office program does")
                overlap = text[-_LONGEST_DECLARATION:]
    return unpacked


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as handle:
        if handle.read(len(_COMPOUND_FILE)) != _COMPOUND_FILE:
            return False
        overlap = b""
        while chunk := handle.read(_CHUNK):
            if _ENCRYPTED_STREAM in overlap + chunk:
                return True
            overlap = chunk[-len(_ENCRYPTED_STREAM) :]
    return False
