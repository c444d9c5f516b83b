import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import Reported, report_on
from tests.report.fixture_run import ATTACK, CLOSING_ATTACK, SEED, build_run
from tests.report.page_reader import Node
from tunewell.errors import DataError
from tunewell.store import Manifest, write_json

PROBE_OFF = "This probe was turned off in the recipe, so nothing is known about it."


def gate_of(reported: Reported) -> Any:
    return json.loads((reported.inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))


def chart_data(reported: Reported, chart: str) -> list[dict[str, Any]]:
    specs = json.loads(next(reported.page.root.find("script", id="chart-specs")).text)
    rows: list[dict[str, Any]] = max(specs[chart]["datasets"].values(), key=len)
    return rows


def known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def one_row(node: Node, **attributes: str) -> Node:
    return next(node.find("tr", **attributes))


def test_file_is_counted_and_small(reported: Reported) -> None:
    size = (reported.folder / "report.html").stat().st_size
    assert reported.counts == {"bytes": size}
    assert size < 5_000_000


def test_nothing_is_loaded_from_anywhere(reported: Reported) -> None:
    for node in reported.page.root.find():
        for name in ("src", "srcset", "action", "poster", "data", "formaction", "xlink:href"):
            assert name not in node.attributes, f"{node.tag} {name}"
        assert re.fullmatch(r"|#[a-z]+|data:,", node.attributes.get("href", "")), node.attributes
    styles = next(reported.page.root.find("style")).text
    assert "url(" not in styles
    assert "@import" not in styles


def test_policy_admits_the_two_scripts_of_the_page_alone(reported: Reported) -> None:
    policy = next(reported.page.root.find("meta", http_equiv="Content-Security-Policy")).attributes["content"]
    scripts = [node.text for node in reported.page.root.find("script") if "type" not in node.attributes]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    assert len(hashes) == 2
    assert f"default-src 'none'; script-src {' '.join(hashes)};" in policy
    assert "unsafe-eval" not in policy


def test_every_number_of_the_claims_is_that_of_the_gate(reported: Reported) -> None:
    claims = gate_of(reported)["claims"]
    assert [claim["name"] for claim in claims][:3] == ["domain_gain", "domain_loss", "retention"]
    for claim in claims:
        row = one_row(reported.page.section("claims"), data_claim=claim["name"])
        assert row.numbers() == known(*(claim[key] for key in ("base", "tuned", "difference", "low", "high", "p", "p_holm", "n")))
        assert claim["title"] in row.text
        assert f"{claim['difference']:+.3f}".replace("-", "−") in row.text
        assert {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}[claim["verdict"]] in row.text
        if claim["needed"]:
            assert f"needs about {claim['needed']:,} items" in row.text


def test_verdict_is_told_in_words(reported: Reported) -> None:
    gate, told = gate_of(reported), reported.page.section("verdict").text
    failed = [claim["title"] for claim in gate["claims"] if claim["verdict"] == "fail"]
    assert f"{len(failed)} of {len(gate['claims'])} claims do not hold: {', '.join(failed)}." in told
    for claim in gate["claims"]:
        if claim["name"] in ("domain_gain", "retention") or claim["verdict"] != "pass":
            assert claim["reason"] in told
    for fact in ("smollm2-135m", "LoRA, rank 16", "320", "672 in 5 probes", "6 min 38 s"):
        assert fact in told


def test_advice_stands_beside_what_did_not_pass(reported: Reported) -> None:
    told = reported.page.section("claims").text
    for claim in gate_of(reported)["claims"]:
        assert bool(claim["advice"]) == (claim["verdict"] != "pass")
        assert claim["advice"].replace("`", "") in told


def test_every_slice_of_a_claim_is_in_its_table(reported: Reported) -> None:
    probes = reported.page.section("probes")
    for claim in gate_of(reported)["claims"]:
        if claim["symptom"]:
            panel = next(probes.find("article", id=f"probe-{claim['name']}"))
            assert claim["reason"] in panel.text
            expected = [known(*(part[key] for key in ("n", "base", "tuned", "difference", "low", "high"))) for part in claim["by"]]
            assert [row.numbers() for row in panel.find("tr") if row.numbers()] == expected


def test_metrics_table(reported: Reported) -> None:
    section = reported.page.section("metrics")
    metrics = gate_of(reported)["metrics"]
    rows = [row for row in section.find("tr") if "data-metric" in row.attributes]
    expected = [known(*(metric[key] for key in ("n", "base", "tuned", "difference", "low", "high"))) for metric in metrics]
    assert [row.numbers() for row in rows] == expected
    assert [row.attributes["data-metric"] for row in rows] == [metric["name"] for metric in metrics]
    assert {metric["signature"] for metric in metrics} - {""} == {node.text for node in section.find("code")}
    assert "n below 10: shown without a verdict" in section.text


def test_forest_turns_every_claim_so_that_right_is_better(reported: Reported) -> None:
    rows = {row["title"]: row for row in chart_data(reported, "forest")}
    for claim in gate_of(reported)["claims"]:
        row = rows[claim["title"]]
        sign = -1 if claim["better"] == "lower" else 1
        assert row["difference"] * sign * claim["difference"] > 0
        assert row["low"] <= row["difference"] <= row["high"]
        assert max(abs(row[key]) for key in ("low", "high", "margin") if row[key] is not None) == 1
        if claim["margin"] is None:
            assert row["margin"] is None
        else:
            assert row["margin"] < 0
            assert row["margin"] / row["difference"] == pytest.approx(-claim["margin"] * sign / claim["difference"], rel=1e-3)


def test_learning_plot_shows_both_models_and_the_box(reported: Reported) -> None:
    claims = {claim["name"]: claim for claim in gate_of(reported)["claims"]}
    points = {row["model"]: row for row in chart_data(reported, "learning") if "model" in row}
    for model in ("base", "tuned"):
        assert points[model]["x"] == pytest.approx(claims["retention"][model], abs=1e-6)
        assert points[model]["y"] == pytest.approx(claims["domain_gain"][model], abs=1e-6)
    specs = json.loads(next(reported.page.root.find("script", id="chart-specs")).text)
    (box,) = next(rows for rows in specs["learning"]["datasets"].values() if len(rows) == 1)
    assert box["x"] == pytest.approx(claims["retention"]["base"] - claims["retention"]["margin"], abs=1e-6)
    assert box["y"] == pytest.approx(claims["domain_gain"]["base"], abs=1e-6)


def test_what_the_dial_measured_stands_between_the_models(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    gate = json.loads((inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    alphas = (0.0, 0.25, 0.5, 1.0)
    rows = [{"alpha": a, "retention": {"tuned": 0.55 - 0.01 * a}, "domain": {"tuned": 0.1 + 0.4 * a}} for a in alphas]
    gate["dial"] = {"best": 0.5, "rows": rows}
    gate["proposals"] = [{"kind": "dial", "change": "tunewell dial RUN --save", "text": "Keep 0.5.", "text_zh": "保留 0.5。"}]
    write_json(inputs["gate"] / "metrics.json", gate)
    reported = report_on(inputs, tmp_path / "out")
    specs = json.loads(next(reported.page.root.find("script", id="chart-specs")).text)
    [points] = [data for data in specs["learning"]["datasets"].values() if str(data[0].get("name")).startswith("α")]
    assert [(row["name"], row["x"], row["y"]) for row in points] == [("α = 0.25", 0.5475, 0.2), ("α = 0.5", 0.545, 0.3)]
    assert "Keep 0.5. tunewell dial RUN --save" in reported.page.section("claims").text
    assert "- Keep 0.5. `tunewell dial RUN --save`" in (reported.folder / "report.md").read_text(encoding="utf-8")


def test_power_box_says_what_the_items_can_show(reported: Reported) -> None:
    section = reported.page.section("claims")
    for claim in gate_of(reported)["claims"]:
        row = one_row(section, data_power=claim["name"])
        shown = row.numbers()
        assert shown[:2] == [claim["n"], claim["detectable"]]
        if claim["margin"] is None:
            assert len(shown) == 2
            continue
        enough = claim["detectable"] <= claim["margin"]
        assert shown[2] == claim["margin"]
        assert (shown[3] <= claim["n"]) == enough
        assert shown[3] == pytest.approx(claim["n"] * (claim["detectable"] / claim["margin"]) ** 2, abs=1)
        assert ("yes" if enough else "no") in row.text


def test_probe_charts_show_the_means_of_the_results(reported: Reported) -> None:
    claims = {claim["name"]: claim for claim in gate_of(reported)["claims"]}
    names = {"general": "General questions", "near_miss": "Near misses"}
    bars = {(row["slice"], row["model"]): row for row in chart_data(reported, "leakage")}
    for part in claims["leakage"]["by"]:
        for model in ("base", "tuned"):
            assert bars[names[part["variant"]], model]["value"] == pytest.approx(part[model], abs=1e-6)
            assert bars[names[part["variant"]], model]["n"] == part["n"]
    for model in ("base", "tuned"):
        assert bars["All together", model]["value"] == pytest.approx(claims["leakage"][model], abs=1e-6)
    assert [row["slice"] for row in chart_data(reported, "gap")[::2]] == ["Seen", "Paraphrase", "Unseen"]
    assert [row["slice"] for row in chart_data(reported, "brittleness")[::2]][2:4] == ["As a support agent", "As JSON ○"]


def test_cost_table(reported: Reported) -> None:
    section = reported.page.section("cost")
    for stage in ("collect", "generate", "clean", "mix", "train", "evaluate", "gate"):
        manifest = Manifest.read(reported.inputs[stage])
        assert manifest is not None
        row = one_row(section, data_stage=stage)
        assert row.numbers() == [manifest.seconds, manifest.peak_rss_bytes, *filter(None, manifest.counts.values())]


def test_data_section(reported: Reported) -> None:
    told = " ".join(reported.page.section("data").text.split())
    for name, rows in (
        ("Read from files", "365"),
        ("Duplicate", "−20"),
        ("Kept", "388"),
        ("Base model's own answers", "+40"),
        ("Written by the teacher", "+48"),
    ):
        assert re.search(rf"{re.escape(name)}\s*{re.escape(rows)}", told), name
    assert "Test items: 60 seen, 60 paraphrased, 60 unseen. 3 test items were left out" in told
    assert "All lie in /data." in told
    assert "/data/support" not in told
    reasons = ["bad_json", "control_tokens", "contradiction", "blacklist", "novelty"]
    assert [small.text for small in reported.page.section("data").find("small") if small.text in reasons] == reasons


def test_training_rows_show_what_was_trained(reported: Reported) -> None:
    (first, attack, chinese) = reported.page.section("training").find("div", class_="tokens")
    trained = "".join(span.text for span in first.find("span", class_="trained"))
    assert trained == "Sales are paid out on the next working day, before noon.<|im_end|>"
    assert ATTACK in attack.text
    assert chinese.text.count("提现多久到账") == 1


def test_reproduction(reported: Reported) -> None:
    told = reported.page.section("reproduce").text
    assert "tunewell run support.yaml --set train.rank=16" in told
    assert f"Started 2026-03-02T09:14:05Z, seed {SEED}." in told
    assert (reported.inputs["run"] / "recipe.yaml").read_text(encoding="utf-8") in told
    for number in range(1, 8):
        assert f"{number:032x}" in told
        assert f"{number + 100:032x}" in told
    assert "torch 2.13.0" in told


def test_limits_name_their_numbers(reported: Reported) -> None:
    told = reported.page.section("limits").text
    sizes = [claim["n"] for claim in gate_of(reported)["claims"]]
    assert f"rest on {min(sizes)} items at the least and {max(sizes)} at the most" in told
    assert "12 of 180 answers of the tuned model were cut" in told
    assert "on 200 multiple-choice items" in told
    assert "2 rows were longer than the context" in told


def test_texts_of_data_and_models_stay_texts(reported: Reported) -> None:
    assert len(list(reported.page.root.find("script"))) == 4
    assert not list(reported.page.root.find("img"))
    assert all(not name.startswith("on") for node in reported.page.root.find() for name in node.attributes)
    assert next(reported.page.root.find("title")).text.endswith(" · Fail")
    assert ATTACK in reported.page.section("data").text
    assert CLOSING_ATTACK in reported.page.section("examples").text
    assert ATTACK in reported.page.section("training").text
    assert CLOSING_ATTACK in reported.page.section("reproduce").text


def test_a_hostile_title_and_gate_stay_text(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    gate = json.loads((inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    gate["claims"][0] |= {"title": ATTACK, "reason": CLOSING_ATTACK}
    write_json(inputs["gate"] / "metrics.json", gate)
    page = report_on(inputs, tmp_path / "out", title=f"{CLOSING_ATTACK}{ATTACK}").page
    assert len(list(page.root.find("script"))) == 4
    assert next(page.root.find("h1")).text == f"{CLOSING_ATTACK}{ATTACK}"
    assert ATTACK in page.section("claims").text
    specs = json.loads(next(page.root.find("script", id="chart-specs")).text)
    assert any(row.get("title") == ATTACK for rows in specs["forest"]["datasets"].values() for row in rows)


@pytest.mark.parametrize("probe", ["brittleness", "constraints", "leakage"])
def test_a_probe_that_was_off_says_so(tmp_path: Path, probe: str) -> None:
    page = report_on(build_run(tmp_path, without={probe}), tmp_path / "out").page
    panel = next(page.root.find("article", id=f"probe-{probe}"))
    assert PROBE_OFF in panel.text
    assert not list(panel.find("figure"))
    others = [node for node in page.section("probes").find("article", class_="panel") if node is not panel]
    assert len(others) == 3
    assert all(PROBE_OFF not in node.text for node in others)
    assert not list(page.section("claims").find("tr", data_claim=probe))


def test_without_retention_there_is_no_learning_plot(tmp_path: Path) -> None:
    page = report_on(build_run(tmp_path, without={"retention"}), tmp_path / "out").page
    section = page.section("learning")
    assert "This plot needs retention items" in section.text
    assert not list(section.find("figure"))


def test_with_every_probe_off_the_page_still_stands(tmp_path: Path) -> None:
    probes = {"domain", "brittleness", "constraints", "leakage", "retention"}
    page = report_on(build_run(tmp_path, without=probes), tmp_path / "out").page
    assert "Nothing was measured, so there is no verdict." in page.section("verdict").text
    assert page.section("probes").text.count(PROBE_OFF) == 4
    assert "There are no domain answers to show." in page.section("examples").text
    assert "There are no metrics for this run." in page.section("metrics").text
    assert "No claim has a paired difference to draw." in page.section("claims").text


def test_a_gap_without_families_has_no_verdict(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    gate = json.loads((inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    gate["claims"] = [claim for claim in gate["claims"] if claim["name"] != "gap"]
    write_json(inputs["gate"] / "metrics.json", gate)
    panel = next(report_on(inputs, tmp_path / "out").page.root.find("article", id="probe-gap"))
    assert "There is no verdict on this, because the test lacks the items that it takes." in panel.text
    assert list(panel.find("figure"))


def test_unknown_numbers_are_dashes(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    gate = json.loads((inputs["gate"] / "metrics.json").read_text(encoding="utf-8"))
    unknown = dict.fromkeys(("base", "tuned", "difference", "low", "high", "detectable", "p", "p_holm"))
    gate["claims"][0] |= unknown
    gate["claims"][2] |= {"low": None, "high": None}
    write_json(inputs["gate"] / "metrics.json", gate)
    reported = report_on(inputs, tmp_path / "out")
    row = one_row(reported.page.section("claims"), data_claim="domain_gain")
    assert row.numbers() == [gate["claims"][0]["n"]]
    titles = [row["title"] for row in chart_data(reported, "forest")]
    assert gate["claims"][0]["title"] not in titles
    assert gate["claims"][2]["title"] in titles


def test_same_run_gives_the_same_bytes(reported: Reported, tmp_path: Path) -> None:
    again = report_on(reported.inputs, tmp_path)
    for name in ("report.html", "report.md"):
        assert (again.folder / name).read_bytes() == (reported.folder / name).read_bytes()


def test_title_is_the_runs_name_where_none_is_set(reported: Reported, reported_zh: Reported) -> None:
    assert next(reported.page.root.find("h1")).text == reported.inputs["run"].name
    assert next(reported_zh.page.root.find("h1")).text == "商户支持助手"


def test_chinese_page(reported_zh: Reported) -> None:
    page, gate = reported_zh.page, gate_of(reported_zh)
    assert next(page.root.find("html")).attributes["lang"] == "zh-CN"
    for claim in gate["claims"]:
        row = one_row(page.section("claims"), data_claim=claim["name"])
        assert claim["title_zh"] in row.text
        assert claim["margin_text_zh"] in row.text
    assert "遗忘的四种症状" in page.section("probes").text
    assert {row["slice"] for row in chart_data(reported_zh, "gap")} == {"见过的问题", "改写", "未见过的问题"}
    headings = [node.text for tag in ("h2", "h3", "summary", "nav") for node in page.root.find(tag)]
    assert len(headings) > 25
    assert not [heading for heading in headings if not re.search("[\u4e00-\u9fff]", heading)]


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("gate", "metrics.json"),
        ("train", "training.json"),
        ("train", "log.jsonl"),
        ("clean", "funnel.json"),
        ("mix", "mixture.json"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, stage: str, name: str) -> None:
    inputs = build_run(tmp_path)
    (inputs[stage] / name).unlink()
    with pytest.raises(DataError) as caught:
        report_on(inputs, tmp_path / "out")
    assert caught.value.what == "the report needs this file, and it cannot be read"
    assert caught.value.where == str(inputs[stage] / name)
    assert caught.value.hint == f"`tunewell run RECIPE --from {stage}` makes it again"
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    (inputs["train"] / "preview.json").write_text("[{", encoding="utf-8")
    with pytest.raises(DataError, match="is not JSON") as caught:
        report_on(inputs, tmp_path / "out")
    assert caught.value.where == str(inputs["train"] / "preview.json")
    assert caught.value.hint == "`tunewell run RECIPE --from train` makes it again"


def test_the_runs_own_file_is_made_by_a_run(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(DataError) as caught:
        report_on(inputs, tmp_path / "out")
    assert caught.value.hint == "`tunewell run RECIPE` makes it again"
