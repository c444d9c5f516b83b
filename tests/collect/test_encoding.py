"""Encodings by their bytes."""

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewell.collect.encoding import detect_encoding, open_text

_CHINESE = '{"question": "提现多久到账？", "answer": "下一个工作日到账。"}\n'


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        (_CHINESE.encode(), "utf-8"),
        (_CHINESE.encode("utf-8-sig"), "utf-8-sig"),
        (_CHINESE.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + _CHINESE.encode("utf-16-be"), "utf-16"),
        (_CHINESE.encode("utf-32"), "utf-32"),
        (_CHINESE.encode("gb18030"), "gb18030"),
        ((_CHINESE + "😀㐀").encode("gb18030"), "gb18030"),
        (_CHINESE.encode()[:-9], "utf-8"),
        (_CHINESE.encode() + b"\xff\n", "utf-8"),
        (_CHINESE.encode() * 3 + _CHINESE.encode("gb18030"), "utf-8"),
        ("résumé naïve".encode("latin-1"), "utf-8"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "utf-8"),
        (codecs.BOM_UTF16_LE + b"odd", None),
    ],
)
def test_an_encoding_is_told_by_the_bytes(tmp_path: Path, content: bytes, encoding: str | None) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert detect_encoding(file) == encoding


def test_gb18030_is_seen_behind_sixteen_megabytes_of_ascii(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (17 << 20) + _CHINESE.encode("gb18030"))
    assert detect_encoding(file) == "gb18030"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary().filter(lambda content: not content.startswith(b"\x1f\x8b")))
def test_every_file_can_be_opened_in_the_encoding_found(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    encoding = detect_encoding(file)
    if encoding is not None:
        with open_text(file, encoding) as handle:
            handle.read()
