import itertools
import json
from pathlib import Path

from tests.report.conftest import Reported, report_on
from tests.report.fixture_run import ATTACK, SEED, build_run
from tunewell.report.words import number
from tunewell.store import write_json


def test_same_facts_as_the_page(reported: Reported) -> None:
    text = (reported.folder / "report.md").read_text(encoding="utf-8")
    gate = json.loads((reported.inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    assert text.startswith(f"# {reported.inputs['run'].name}\n\n**Fail** · ")
    for claim in gate["claims"]:
        row = next(line for line in text.splitlines() if line.startswith(f"| {claim['title']} |"))
        for key in ("base", "tuned"):
            assert f"| {number(claim[key])} |" in row
        assert f"| {number(claim['difference'], signed=True)} |" in row
        assert f"| {number(claim['low'], signed=True)} … {number(claim['high'], signed=True)} |" in row
    assert "| Paraphrase | BLEU | 60 | 2.3 | 27.9 | +25.6 | +21.1 … +30.4 |" in text
    assert "`nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`" in text
    assert "| Duplicate | −20 |" in text
    assert "```\ntunewell run support.yaml --set train.rank=16\n```" in text
    assert f"- Seed: {SEED}" in text
    assert len(text.encode()) < 20_000


def test_tables_are_rectangular(reported: Reported, reported_zh: Reported) -> None:
    for report in (reported, reported_zh):
        lines = (report.folder / "report.md").read_text(encoding="utf-8").splitlines()
        for above, below in itertools.pairwise(lines):
            if above.startswith("|") and below.startswith("|"):
                assert above.replace("\\|", "").count("|") == below.replace("\\|", "").count("|")


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    gate = json.loads((inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    gate["claims"][0]["title"] = f"{ATTACK} | [x](http://a) `b`"
    write_json(inputs["gate"] / "metrics.json", gate)
    report_on(inputs, tmp_path / "out", title=ATTACK)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\\| \\[x\\](http://a) \\`b\\` |" in text


def test_chinese(reported_zh: Reported) -> None:
    text = (reported_zh.folder / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# 商户支持助手\n\n**未通过** · 未通过：")
    assert "## 各项结论" in text
    assert "| 能力保持 | 200 |" in text
