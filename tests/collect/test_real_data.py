"""Counts on published data sets, and on the bundled ones."""

from pathlib import Path

import pytest

import tunewell
from tests.collect.conftest import Settings
from tunewell.collect import check, inspect_file, run

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"
_ASSETS = Path(tunewell.__file__).parent / "assets"


@pytest.mark.parametrize(
    ("name", "container", "encoding", "formats", "languages"),
    [
        ("alpaca_demo/alpaca_en_demo.json", "json", "utf-8", {"alpaca": 999}, {"en": 999}),
        ("alpaca_demo/alpaca_zh_demo.json", "json", "utf-8", {"alpaca": 1000}, {"zh": 976, "en": 24}),
        ("fastchat_dummy/dummy_conversation.json", "json", "utf-8", {"sharegpt": 500}, {"en": 500}),
        ("oasst_zh/oaast_sft_zh.json", "json", "utf-8", {"alpaca": 625}, {"zh": 609, "en": 15, "": 1}),
        ("medical_dialogue_zh/internal_medicine_sample.csv", "csv", "gb18030", {"qa": 2243}, {"zh": 2243}),
    ],
)
def test_counts_on_published_files(
    name: str, container: str, encoding: str, formats: dict[str, int], languages: dict[str, int]
) -> None:
    if not (_SHARED / name).exists():
        pytest.skip(f"{name} is not beside this repository")
    found = inspect_file(_SHARED / name)
    assert (found.container, found.encoding, found.formats, found.languages) == (container, encoding, formats, languages)
    assert (found.broken, found.problems) == (0, ())


def test_multi_turn_rows_of_a_published_file(tmp_path: Path, settings: Settings) -> None:
    if not _SHARED.exists():
        pytest.skip("the published data sets are not beside this repository")
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
