"""What tasks are made from."""

from pathlib import Path

from tunewell.generate.material import Material
from tunewell.records import DOCUMENT_SCHEMA, Document, document_to_row
from tunewell.store import write_rows


def test_what_many_documents_hold_alike_is_worked_on_once(tmp_path: Path) -> None:
    footer = "Refunds take five working days. Support answers at noon."
    sections = [Document(f"f{n}", f"page-{n}.md", "Contact", footer, 0, len(footer), "en") for n in range(20)]
    sections += [Document(f"h{n}", "page-0.md", heading, footer, 100 * n, 200, "en") for n, heading in enumerate(("A", "B"), 1)]
    write_rows(tmp_path / "documents", DOCUMENT_SCHEMA, map(document_to_row, sections))
    write_rows(tmp_path / "back" / "documents", DOCUMENT_SCHEMA, map(document_to_row, reversed(sections)))
    chunks = Material(tmp_path, (), 0).chunks()
    assert sorted((chunk.heading, chunk.text) for chunk in chunks) == [(heading, footer) for heading in ("A", "B", "Contact")]
    assert Material(tmp_path / "back", (), 0).chunks() == chunks
