"""Counts on published data sets, and on the bundled ones."""

from collections import Counter
from pathlib import Path

import pytest

import tunewell
from tests.collect.conftest import Settings
from tunewell.collect import check, inspect_file, run
from tunewell.collect.reader import layout_of, readings
from tunewell.collect.sources import Source
from tunewell.engine import LocalEngine
from tunewell.records import Example

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"
_ASSETS = Path(tunewell.__file__).parent / "assets"


def _require(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path.relative_to(_SHARED.parent)} is not beside this repository")


# What each folder gives, all files of it in their published form: rows by format, by language, and sections of documents (the
# SOURCE.md of each among them); what is passed over.
_FOLDERS = {
    "alpaca_demo": ({"alpaca": 1999}, {"en": 1023, "zh": 976}, 1, ["LICENSE"]),
    "banking77": ({"classification": 10003 + 3080}, {"en": 13083}, 1, ["LICENSE", "categories.json"]),
    "docs_dolphinscheduler": ({"markdown": 58 + 57}, {"en": 65, "zh": 50}, 202, ["LICENSE"]),
    "docs_libreoffice_help": ({}, {}, 37, ["LICENSE"]),
    "fastchat_dummy": ({"sharegpt": 500}, {"en": 500}, 1, ["LICENSE"]),
    "kdconv_travel": ({"messages": 150}, {"zh": 150}, 1, ["LICENSE"]),
    "medical_dialogue_zh": ({"qa": 2243}, {"zh": 2243}, 1, ["LICENSE"]),
    "oasst_zh": ({"alpaca": 625}, {"zh": 609, "en": 15, "": 1}, 1, ["LICENSE"]),
    "paws_x_zh": ({"similarity": 2 * (996 + 997)}, {"zh": 3982, "en": 4}, 1, ["LICENSE"]),
    "self_instruct_user": ({"self-instruct": 252}, {"en": 252}, 1, ["LICENSE"]),
    "xquad": ({"squad": 2 * 1190}, {"en": 1190, "zh": 1190}, 2, []),
}
_FILES = {
    "alpaca_demo/alpaca_en_demo.json": ("json", "utf-8", 999),
    "alpaca_demo/alpaca_zh_demo.json": ("json", "utf-8", 1000),
    "banking77/train.csv": ("csv", "utf-8", 10003),
    "banking77/test.csv": ("csv", "utf-8", 3080),
    "fastchat_dummy/dummy_conversation.json": ("json", "utf-8", 500),
    "kdconv_travel/dev.json": ("json", "utf-8", 150),
    "medical_dialogue_zh/internal_medicine_sample.csv": ("csv", "gb18030", 2243),
    "oasst_zh/oaast_sft_zh.json": ("json", "utf-8", 625),
    "paws_x_zh/dev.afqmc.jsonl": ("jsonl", "utf-8", 996),
    "paws_x_zh/dev.json": ("json", "utf-8", 996),
    "paws_x_zh/test.afqmc.jsonl": ("jsonl", "utf-8", 997),
    "paws_x_zh/test.json": ("json", "utf-8", 997),
    "self_instruct_user/user_oriented_instructions.jsonl": ("jsonl", "utf-8", 252),
    "xquad/xquad.en.json": ("json", "utf-8", 1190),
    "xquad/xquad.zh.json": ("json", "utf-8", 1190),
}


def test_the_table_names_every_published_folder() -> None:
    _require(_SHARED)
    assert sorted(folder.name for folder in _SHARED.iterdir() if folder.is_dir()) == sorted(_FOLDERS)


@pytest.mark.parametrize("name", _FOLDERS)
def test_a_published_folder_imports_without_a_broken_row(tmp_path: Path, settings: Settings, name: str) -> None:
    _require(_SHARED / name)
    formats, languages, documents, skipped = _FOLDERS[name]
    summary = run(settings(domain=[str(_SHARED / name)]), {}, tmp_path / "out", engine=LocalEngine(1))
    assert summary.details["formats"] == formats
    assert summary.counts == {"rows": sum(formats.values()), "dropped": 0, "documents": documents, "test": 0}
    assert [Path(path).name for path in summary.details["skipped"]] == skipped
    spoken = Counter[str]()
    for source in summary.details["sources"]:
        spoken.update(source["languages"])
    assert spoken == languages


@pytest.mark.parametrize("name", _FILES)
def test_a_published_file_is_read_for_what_it_is(name: str) -> None:
    _require(_SHARED / name)
    found = inspect_file(_SHARED / name)
    assert (found.container, found.encoding, found.rows) == _FILES[name]
    assert (found.broken, found.problems, len(found.examples)) == (0, (), 3)


@pytest.mark.parametrize(("name", "pages"), [("docs_dolphinscheduler", 6 + 6), ("docs_libreoffice_help", 4 + 4)])
def test_every_published_page_gives_sections(name: str, pages: int) -> None:
    _require(_SHARED / name)
    found = [inspect_file(file) for file in sorted((_SHARED / name).glob("*/*"))]
    assert [(page.container, page.broken) for page in found] == [("markdown" if "dolphin" in name else "html", 0)] * pages
    assert all(page.documents for page in found)


def test_a_published_dialogue_loses_no_turn_without_a_word() -> None:
    file = _SHARED / "kdconv_travel" / "dev.json"
    _require(file)
    source = Source(file, "domain", named=True)
    examples = [reading.record for reading in readings(source, layout_of(source)) if isinstance(reading.record, Example)]
    kept = sum(len(example.messages) for example in examples)
    cut = sum(example.evidence.get("cut_turns", 0) for example in examples)
    assert (kept + cut, {example.turns for example in examples}) == (2691, {"multi"})
    assert 0 < cut < 150


def test_multi_turn_rows_of_a_published_file(tmp_path: Path, settings: Settings) -> None:
    _require(_SHARED)
    found = {finding.code: finding.what for finding in check(settings(open=[str(_SHARED / "oasst_zh" / "*.json")]))}
    assert found["turns"] == "42% of 625 rows are single-turn, 58% multi-turn"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_bundled_data_have_no_errors(tmp_path: Path, settings: Settings, language: str) -> None:
    support = _ASSETS / "support" / language
    recipe = settings(
        domain=[str(support / "qa.jsonl"), str(support / "pages")],
        open=[str(_ASSETS / "open" / f"{language}.json")],
        test=[str(support / "test.jsonl")],
    )
    assert [finding for finding in check(recipe) if finding.level == "error" or finding.code == "seen_not_in_training"] == []
    summary = run(recipe, {}, tmp_path / "out")
    assert summary.counts["dropped"] == 0
    assert summary.counts["test"] == 3 * len((support / "test.jsonl").read_text(encoding="utf-8").splitlines())
