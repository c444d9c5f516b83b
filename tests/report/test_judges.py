"""The judges' health on the page and in Markdown, from a record that real judging left."""

import json
from pathlib import Path

import pytest

from tests.evaluate.judging import judge_at, serving
from tests.report.conftest import Reported, report_on
from tests.report.fixture_run import build_run
from tests.teacher.conftest import KEY_VARIABLE
from tests.teacher.server import KEY
from tunewell.evaluate.judge import Item, Terms, in_words, judge_answers
from tunewell.store import write_json

ITEMS = [
    Item(
        f"item {n}", f"family {n}", "en", f"How long does step {n} take?", f"It takes {n} days.", "No idea.", f"It takes {n} days."
    )
    for n in range(12)
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a run whose answers a scripted judge has scored and compared."""
    folder = tmp_path_factory.mktemp("judged")
    inputs = build_run(folder)
    with pytest.MonkeyPatch.context() as patch, serving(folder) as server:
        patch.setenv(KEY_VARIABLE, KEY)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        found = judge_answers(ITEMS, [judge_at(server)], folder / "judge", Terms(mode="both", repeats=1))
    health = json.loads(json.dumps(found.health))
    # One judge stands for two, the second of which failed at times.
    second = json.loads(json.dumps(health["judges"][0])) | {"judge": "b|second", "trusted": False}
    second["failures"] = {"score": {"unreadable": 2, "timed_out": 1}, "pair": {"unreadable": 1}}
    second["coverage"]["score"] |= {"judged": 21, "verdicts": 21}
    kappa = {"value": 0.61, "low": 0.4, "high": 0.8, "standard_error": 0.1, "n": 20, "clusters": 10}
    health["judges"].append(second)
    health["agreement"] = [{"judges": [health["judges"][0]["judge"], "b|second"], "scores": kappa, "preferences": None}]
    health["warnings"].append({"code": "flips", "judge": "b|second", "share": 0.5})
    write_json(inputs["evaluate"] / "judge.json", health)
    return inputs


@pytest.fixture(scope="module")
def judged(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Reported:
    return report_on(inputs, tmp_path_factory.mktemp("report"))


def test_panel_shows_coverage_failures_and_agreement(judged: Reported) -> None:
    health = json.loads((judged.inputs["evaluate"] / "judge.json").read_text(encoding="utf-8"))
    section = judged.page.section("judge")
    rows = {row.text.split("  ")[0]: row.text for row in section.find("tr")}
    told = "\n".join(rows.values())
    assert "24 of 24 (100.0 %); 24 verdicts of 24 asked for" in told
    assert "21 of 24 (87.5 %); 21 verdicts of 24 asked for" in told
    assert "none" in told
    assert "timed out 1, unreadable 3" in told
    first = health["judges"][0]["calibration"]["kappa"]
    assert f"{first['value']:.3f} [{first['low']:.3f} … {first['high']:.3f}], n = {first['n']}" in told
    assert "0.610 [0.400 … 0.800], n = 20" in told
    assert "won 12 times and lost 0 times, with 0 ties" in section.text
    assert health["warnings"]
    for warning in health["warnings"]:
        assert in_words(warning, "en") in section.text
    assert "#judge" in {node.attributes["href"] for node in judged.page.root.find("a")}


def test_markdown_says_the_same(judged: Reported) -> None:
    text = (judged.folder / "report.md").read_text(encoding="utf-8")
    for part in ("## Judges", "b\\|second", "21 of 24 (87.5 %)", "timed out 1, unreadable 3", "0.610 \\[0.400 … 0.800\\], n = 20"):
        assert part in text


def test_chinese(inputs: dict[str, Path], tmp_path: Path) -> None:
    reported = report_on(inputs, tmp_path, language="zh")
    told = reported.page.section("judge").text
    assert "超时 1、无法解析 3" in told
    assert "21/24（87.5 %）" in told


def test_without_judges_there_is_no_panel(reported: Reported) -> None:
    assert not list(reported.page.root.find("section", id="judge"))
    assert "#judge" not in {node.attributes["href"] for node in reported.page.root.find("a")}
