"""One number, one way to write it: page, Markdown, console and `metrics.json` agree to the last digit that is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import Reported
from tunewell.cli.show import closing_table
from tunewell.report.words import number, p_value, places

SHOWN = ("base", "tuned", "difference", "low", "high")


def texts(claim: dict[str, Any]) -> dict[str, str]:
    """The numbers of a claim as they are to be written."""
    digits = places(claim)
    return {key: number(claim[key], digits, signed=key not in ("base", "tuned")) for key in SHOWN}


def console(gate: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    closing_table(gate, Path("report.html"), language="en")
    lines = capsys.readouterr().out.splitlines()
    return {claim["title"]: next(line for line in lines if line.startswith(claim["title"])) for claim in gate["claims"]}


def test_the_numbers_of_every_claim_agree(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    gate = json.loads((reported.inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    lines = console(gate, capsys)
    markdown = (reported.folder / "report.md").read_text(encoding="utf-8").splitlines()
    for claim in gate["claims"]:
        expected = texts(claim)
        [row] = list(reported.page.section("claims").find("tr", data_claim=claim["name"]))
        in_markdown = next(line for line in markdown if line.startswith(f"| {claim['title']} |"))
        on_console = lines[claim["title"]].replace("-", "−").split()
        assert row.numbers()[:5] == [claim[key] for key in SHOWN]
        for key in SHOWN:
            assert expected[key] in row.text.split()
            assert expected[key] in in_markdown.split()
            assert expected[key] in on_console
        for key in ("p", "p_holm"):
            assert p_value(claim[key]) in row.text.split()
            assert f"| {p_value(claim[key])} |" in in_markdown
        assert claim["verdict"] in on_console


def test_few_items_are_marked_on_the_console(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    gate = json.loads((reported.inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    few = dict.fromkeys(("p", "p_holm", "p_against", "p_against_holm")) | {"n": 9, "clusters": 9, "verdict": "inconclusive"}
    gate["claims"][3] |= few
    gate["claims"][2] |= {"base": 31.234, "tuned": 28.111, "difference": -3.123, "low": -6.1, "high": -0.0004}
    gate["proposals"] = [
        {"change": "--set guard.floor=0.05", "text": "Take an earlier checkpoint.", "text_zh": "改用更早的检查点。"}
    ]
    closing_table(gate, Path("report.html"), language="en")
    shown = capsys.readouterr().out
    lines = {
        claim["title"]: next(line for line in shown.splitlines() if line.startswith(claim["title"])) for claim in gate["claims"]
    }
    assert lines[gate["claims"][3]["title"]].endswith("inconclusive ⚠ n < 10")
    assert sum("n < 10" in line for line in lines.values()) == 1
    assert lines["Retention"].split()[2:7] == ["31.2", "28.1", "-3.1", "-6.1", "0.0"]
    assert "→ Take an earlier checkpoint. --set guard.floor=0.05" in shown
