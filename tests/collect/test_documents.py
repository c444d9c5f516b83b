"""Web pages, PDF and Office files: what they are, their text, and what they may not do."""

import contextlib
import io
import random
import re
import resource
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tunewell.collect import archives, documents
from tunewell.collect.archives import check_archive
from tunewell.collect.converter import MEMORY_LIMIT
from tunewell.collect.documents import document_kind, to_markdown
from tunewell.collect.furniture import without_furniture
from tunewell.collect.problems import RowError
from tunewell.errors import MachineError

_HELP = Path(__file__).parents[2].parent / "shared" / "data" / "docs_libreoffice_help"

_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Target='
    '"word/document.xml" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_PAGE = """<!DOCTYPE html><html><head><title>Site</title><style>p {}</style></head><body>
<header><p>The Site</p></header><nav><ul><li>Home</li></ul></nav>
<div class="cookie-banner"><p>We use cookies.</p></div><div role="search">Search here</div>
<div id="content"><h1>Payouts<a href="#p">¶</a></h1><p>They arrive at <b>18:00</b>. See <a href="x">fees_and_plans</a>.</p>
<ol><li>Open</li><li>Click <span class="menu">File</span></li></ol>
<table><tr><th>Plan</th><th>Fee</th></tr><tr><td>A</td><td>1</td></tr></table>
<script>alert(1)</script><!-- gone --><img src="x" alt="gone"><form><input value="gone"><button>gone</button></form></div>
<aside>Related</aside><footer>Imprint</footer></body></html>"""
_TABLE = "| Plan | Fee |\n| --- | --- |\n| A | 1 |\n"
_TEXT = f"# Payouts\n\nThey arrive at **18:00**. See fees_and_plans.\n\n1. Open\n2. Click File\n\n{_TABLE}"


def _docx(path: Path, body: str, *, more: Mapping[str, str] | None = None) -> Path:
    styles = f'<w:styles {_WORD}><w:style w:type="paragraph" w:styleId="T"><w:name w:val="heading 1"/></w:style></w:styles>'
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _RELATIONS,
        "word/document.xml": f"<w:document {_WORD}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": styles,
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def _paragraph(text: str, style: str = "") -> str:
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{look}<w:r><w:t>{text}</w:t></w:r></w:p>"


def _pdf(path: Path, streams: list[str], *, trailer: str = "") -> Path:
    """A page that draws the first stream; each stream can draw the one after it as /Next."""
    font = "/Font << /F 3 0 R >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [4 0 R] /Count 1 >>"]
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    first = 5
    resources = f"/Resources << {font} /XObject << /Next 6 0 R >> >>"
    objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first} 0 R {resources} >>")
    for number, stream in enumerate(streams, start=first):
        inner = f"/Resources << {font} /XObject << /Next {number + 1} 0 R >> >>"
        head = f"/Type /XObject /Subtype /Form /BBox [0 0 612 792] {inner}"
        objects.append(f"<< {head} /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, text in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n{text}\nendobj\n".encode())
    start = out.tell()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode())
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    path.write_bytes(out.getvalue())
    return path


def _problem(path: Path, kind: str) -> str:
    with pytest.raises(RowError) as caught:
        to_markdown(path, kind)
    assert caught.value.problem.reason == "bad_file"
    return caught.value.problem.detail


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("x", b"<!doctype HTML>", "html"),
        ("x.txt", b"\xef\xbb\xbf \n<!-- a --> <!-- b -->\n<html lang=x>", "html"),
        ("x", b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">', "html"),
        ("x", "<body>\n".encode("utf-16"), "html"),
        ("x.html", b"<p class=x>Hi", "html"),
        ("x.html", b"plain text", None),
        ("x.txt", b"<p>Hi", None),
        ("x.md", b"<!DOCTYPE html>", None),
        ("x.md", b"<!-- a -->\n<p align=center>", None),
        ("x.xml", b"<?xml version='1.0'?><svg>", None),
        ("x.json", b'{"html": "<html>"}', None),
        ("x", b"<header>", None),
        ("x", b"%PDF-1.7\n", "pdf"),
        ("x", b"\r\n%PDF-1.7", "pdf"),
        ("x", b"mail header\n%PDF-1.7\n" + b"x" * 5000 + b"\nstartxref\n0\n%%EOF", "pdf"),
        ("x.txt", b"a file begins with %PDF-1.7", None),
        ("x.docx", b"PK\x03\x04 cut short: word/document.xml", "docx"),
        ("x.docx", b"PK\x03\x04 something else", None),
        ("x.docx", b"not a ZIP archive", None),
        ("x.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "xlsx"),
        ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook".encode("utf-16-le"), None),
        ("x", b"", None),
    ],
)
def test_a_kind_is_known_by_its_content(tmp_path: Path, name: str, content: bytes, kind: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    assert document_kind(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("member", "kind"),
    [("word/document.xml", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"), ("OEBPS/a.xhtml", None)],
)
def test_office_files_are_known_by_their_members(tmp_path: Path, member: str, kind: str | None) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr(member, "")
    assert document_kind(tmp_path / "x.zip") == kind


def test_a_web_page_without_its_furniture(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(_PAGE, encoding="utf-8")
    assert to_markdown(tmp_path / "x.html", "html") == _TEXT


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>out</p><main><p>in</p><aside>no</aside></main>", "in"),
        ("<p>out</p><div role=main>in</div>", "in"),
        ("<p>out</p><article>in</article>", "in"),
        ("<article>one</article><article>two</article>", "onetwo"),
        ("<main></main><p>by script</p>", "by script"),
        ("<form><h2>whole</h2><p>page in a form</p></form>", "wholepage in a form"),
        ('<div class="page has-sidebar"><main>in</main></div>', "in"),
        ('<div class="search-results"><p>long enough text</p></div><p>short</p>', "long enough textshort"),
        ("<header><p>who</p><h1>Title</h1></header><p>text</p>", "Titletext"),
        ("<header><h1>Site</h1></header><h1>Title</h1><p>text</p>", "Titletext"),
        ('<ul class="nav nav-tabs"><li>no</li></ul><p>text</p>', "text"),
        ('<p>text <kbd class="menu">File</kbd></p>', "text File"),
    ],
)
def test_what_is_furniture(body: str, text: str) -> None:
    assert re.sub(r"<[^>]*>", "", without_furniture(f"<html><body>{body}</body></html>")) == text


@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "gb18030", "utf-8", "utf-16", "big5"])
def test_a_declared_charset_is_honoured(tmp_path: Path, encoding: str) -> None:
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={encoding}">'
    page = f"<html><head>{meta}</head><body>提現需要多久</body></html>"
    (tmp_path / "x.html").write_bytes(page.encode(encoding.replace("gb2312", "gb18030")))
    assert to_markdown(tmp_path / "x.html", "html") == "提現需要多久\n"


@pytest.mark.parametrize("charset", ["", '<meta charset="utf-8">', '<meta charset="nonsense">'])
def test_a_charset_that_does_not_fit_is_found_out(tmp_path: Path, charset: str) -> None:
    (tmp_path / "x.html").write_bytes(f"<html>{charset}<body>提现需要多久才能到账</body>".encode("gbk"))
    assert to_markdown(tmp_path / "x.html", "html") == "提现需要多久才能到账\n"


@pytest.mark.parametrize(("tag", "depth"), [("div", 100_000), ("ul><li", 5_000), ("table><tr><td", 5_000)])
def test_deep_nesting_does_not_overflow(tmp_path: Path, tag: str, depth: int) -> None:
    (tmp_path / "x.html").write_text(f"<html><body>{f'<{tag}>' * depth}deep")
    assert to_markdown(tmp_path / "x.html", "html").endswith("deep\n")


@pytest.mark.parametrize(
    ("name", "headings", "words"),
    [
        ("en-US/conditional_text.html", 4, ("Reminder EQ", "press F9")),
        ("en-US/consolidate.html", 3, ("Choose Data - Consolidate",)),
        ("en-US/floating_toolbar.html", 1, ()),
        ("en-US/validity.html", 2, ("Tools - Detective",)),
        ("zh-CN/conditional_text.html", 4, ()),
        ("zh-CN/consolidate.html", 3, ()),
        ("zh-CN/floating_toolbar.html", 1, ()),
        ("zh-CN/validity.html", 2, ("选择「数据 - 有效性」",)),
    ],
)
def test_published_help_pages(name: str, headings: int, words: tuple[str, ...]) -> None:
    path = _HELP / name
    if not path.exists():
        pytest.skip("docs_libreoffice_help is not beside this repository")
    assert document_kind(path) == "html"
    text = to_markdown(path, "html")
    assert 700 < len(text) < 3000
    assert len(re.findall(r"^#+ ", text, re.MULTILINE)) >= headings
    assert all(word in text for word in words)
    furniture = ("LibreOffice 7.4", "Index", "debug", "This page is", "Module", "模块", "目录", "\nContents", "<", "](")
    assert [word for word in furniture if word in text] == []


def test_a_word_file(tmp_path: Path) -> None:
    table = f"<w:tbl><w:tr><w:tc>{_paragraph('Plan')}</w:tc><w:tc>{_paragraph('费率')}</w:tc></w:tr></w:tbl>"
    path = _docx(tmp_path / "x.docx", _paragraph("Payouts", "T") + _paragraph("At 18:00, see fees_and_plans.") + table)
    assert document_kind(path) == "docx"
    assert to_markdown(path, "docx") == "# Payouts\n\nAt 18:00, see fees_and_plans.\n\n| Plan | 费率 |\n| --- | --- |\n"


def test_slides(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Payouts"
    slide.placeholders[1].text = "At 18:00"
    show.save(str(tmp_path / "x.pptx"))
    assert document_kind(tmp_path / "x.pptx") == "pptx"
    assert to_markdown(tmp_path / "x.pptx", "pptx") == "# Payouts\nAt 18:00\n"


def test_a_pdf(tmp_path: Path) -> None:
    path = _pdf(tmp_path / "x.pdf", ["BT /F 12 Tf 72 700 Td (Payouts arrive at 18:00.) Tj ET"])
    assert document_kind(path) == "pdf"
    assert to_markdown(path, "pdf") == "Payouts arrive at 18:00.\n"


def test_files_without_text(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<html><body><nav>Home</nav></body></html>")
    assert _problem(_pdf(tmp_path / "x.pdf", ["0 0 m"]), "pdf") == "holds no text: scanned pages need OCR first"
    assert _problem(tmp_path / "x.html", "html") == "holds no text"
    assert _problem(_docx(tmp_path / "x.docx", ""), "docx") == "holds no text"


def test_encrypted_files(tmp_path: Path) -> None:
    key = "<" + "00" * 32 + ">"
    trailer = f"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O {key} /U {key} >> /ID [{key} {key}]"
    encrypted = "is encrypted: save it without a password"
    assert _problem(_pdf(tmp_path / "x.pdf", ["BT ET"], trailer=trailer), "pdf") == encrypted
    (tmp_path / "x.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"))
    assert document_kind(tmp_path / "x.docx") == "docx"
    assert _problem(tmp_path / "x.docx", "docx") == encrypted
    path = _docx(tmp_path / "y.docx", "")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert _problem(path, "docx") == encrypted


def test_damaged_files(tmp_path: Path) -> None:
    whole = _docx(tmp_path / "x.docx", _paragraph("x" * 9999)).read_bytes()
    (tmp_path / "x.docx").write_bytes(whole[: len(whole) // 2])
    assert _problem(tmp_path / "x.docx", "docx") == "is damaged: not a whole ZIP archive"
    (tmp_path / "x.docx").write_bytes(whole.replace(b"word/document.xml", b"word/documint.xml"))
    assert _problem(tmp_path / "x.docx", "docx").startswith("is damaged: cannot be read as DOCX (")
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4\nnothing else")
    assert _problem(tmp_path / "x.pdf", "pdf") == "is damaged: cannot be read as PDF (PDFSyntaxError)"


@pytest.mark.parametrize("kind", ["html", "pdf", "docx", "pptx"])
def test_broken_bytes_raise_nothing_else(tmp_path: Path, kind: str) -> None:
    _pdf(tmp_path / "x.pdf", ["BT /F 12 Tf 72 700 Td (Payouts) Tj ET"])
    _docx(tmp_path / "x.docx", _paragraph("Payouts"))
    _docx(tmp_path / "x.pptx", _paragraph("Payouts"), more={"ppt/presentation.xml": "<p/>"})
    (tmp_path / "x.html").write_text(_PAGE)
    path = tmp_path / f"x.{kind}"
    whole, chance = path.read_bytes(), random.Random(5)
    for _ in range(15):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        with contextlib.suppress(RowError):
            assert to_markdown(path, kind).strip()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = _docx(tmp_path / "x.docx", _paragraph("x"), more={"word/media/a.bin": "0" * (80 << 20)})
    assert _problem(bomb, "docx") == "unpacks to more than 64 MiB, as ZIP bombs do"


def test_a_bomb_whose_directory_lies(tmp_path: Path) -> None:
    size = 80 << 20
    path = _docx(tmp_path / "x.docx", _paragraph("x"), more={"word/media/a.bin": "0" * size})
    content = path.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(content)
    assert _problem(path, "docx") == "is damaged: not a whole ZIP archive"


def test_what_comes_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _docx(tmp_path / "x.docx", "", more={"word/media/a.bin": "0" * (3 << 20)})
    check_archive(path)
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 2 << 20)
    with pytest.raises(RowError, match="unpacks to more than 2 MiB, as ZIP bombs do"):
        check_archive(path)
    monkeypatch.setattr(archives, "MOST_TIMES", 5000)
    check_archive(path)
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 20)
    with pytest.raises(RowError, match="unpacks to more than 1 MiB, as ZIP bombs do"):
        check_archive(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_not_expanded(tmp_path: Path, encoding: str) -> None:
    laughs = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
    path = _docx(tmp_path / "x.docx", "")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "word/more.xml", f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l9;</x>'.encode(encoding)
        )
    assert _problem(path, "docx") == "declares entities in `word/more.xml`, as no Office program does"


def test_a_declaration_across_two_pieces_is_seen(tmp_path: Path) -> None:
    path = _docx(tmp_path / "x.docx", "", more={"word/more.xml": " " * ((1 << 20) - 4) + "<!DOCTYPE x>"})
    with pytest.raises(RowError, match="declares entities"):
        check_archive(path)


def test_a_file_that_takes_for_ever_is_given_up_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "q /Next Do Q q /Next Do Q"
    endless = _pdf(tmp_path / "x.pdf", [twice] * 40)
    monkeypatch.setattr(documents, "TIME_LIMIT", 1.5)
    assert _problem(endless, "pdf") == "takes more than 1.5 seconds to convert"
    monkeypatch.setattr(documents, "TIME_LIMIT", 60.0)
    assert to_markdown(_pdf(tmp_path / "y.pdf", ["BT /F 12 Tf 72 700 Td (Next) Tj ET"]), "pdf") == "Next\n"


def test_a_converter_that_dies_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(_PAGE)
    to_markdown(tmp_path / "x.html", "html")
    (running,) = documents._converters.values()
    running._process.kill()
    assert _problem(tmp_path / "x.html", "html") == "crashes the program that converts it"
    assert to_markdown(tmp_path / "x.html", "html") == _TEXT


def test_many_files_share_one_process(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(_PAGE)
    to_markdown(tmp_path / "x.html", "html")
    before = dict(documents._converters)
    assert {to_markdown(tmp_path / "x.html", "html") for _ in range(20)} == {_TEXT}
    assert documents._converters == before
    (running,) = before.values()
    assert resource.prlimit(running._process.pid, resource.RLIMIT_AS) == (MEMORY_LIMIT, MEMORY_LIMIT)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.docx").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mammoth" else name)
    with pytest.raises(MachineError) as caught:
        to_markdown(tmp_path / "x.docx", "docx")
    assert caught.value.what == "reading DOCX files takes the package mammoth, which is not installed"
    assert (caught.value.where, caught.value.hint) == (str(tmp_path / "x.docx"), "pip install 'tunewell[documents]'")


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        to_markdown(tmp_path / "x.pdf", "pdf")


def test_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.html").write_text('<?xml version="1.0"?>' + _PAGE)
    to_markdown(tmp_path / "x.html", "html")
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4\nnothing else")
    _problem(tmp_path / "x.pdf", "pdf")
    assert capfd.readouterr() == ("", "")
