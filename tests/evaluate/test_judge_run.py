"""Judges behind a server: scores and preferences, every fault of the server, resuming, and the health record."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.judging import INJECTIONS, UNCALIBRATED, items, judge_at, prefer, score, seen, serving
from tests.teacher.conftest import KEY_VARIABLE
from tests.teacher.server import KEY
from tunewell.bundled import read_yaml
from tunewell.errors import TeacherError
from tunewell.evaluate.judge import Findings, Terms, in_words, judge_answers
from tunewell.recipe import Teacher
from tunewell.teacher import client

Answers = Mapping[str, Callable[[str], Any]]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]


def _codes(findings: Findings) -> list[str]:
    return [warning["code"] for warning in findings.health["warnings"]]


def test_scores_and_preferences_of_a_judge_that_is_right(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        findings = judge_answers(items(12), [judge_at(server)], tmp_path / "out", Terms(repeats=2))
    assert findings.scores == {
        "base": dict.fromkeys([f"item-{n}" for n in range(1, 13)], 1.0),
        "tuned": dict.fromkeys([f"item-{n}" for n in range(1, 13)], 5.0),
    }
    assert set(findings.preferences.values()) == {1.0}
    health = findings.health
    assert (health["scores"]["base"], health["scores"]["tuned"], health["scores"]["difference"]["value"]) == (1, 5, 4)
    assert health["scores"]["difference"]["clusters"] == 7
    assert {name: health["preference"][name] for name in ("win", "tie", "loss")} == {"win": 12, "tie": 0, "loss": 0}
    net = health["preference"]["net"]
    assert net["value"] == 1
    assert 0.4 < net["low"] < 1, "twelve wins of twelve do not prove that all are"
    [judge] = health["judges"]
    assert (judge["judge"], judge["server"], judge["trusted"]) == ("scripted", server.url, True)
    assert judge["coverage"] == {
        "calibration": {"judged": 25, "of": 25, "verdicts": 50, "asked": 50},
        "score": {"judged": 24, "of": 24, "verdicts": 48, "asked": 48},
        "pair": {"judged": 12, "of": 12, "verdicts": 24, "asked": 24},
    }
    assert judge["failures"] == {}
    assert judge["spread"]["value"] == 0
    assert judge["spread"]["n"] == 24
    assert (judge["flips"]["value"], judge["flips"]["n"], judge["position_bias"]["value"]) == (0, 12, 0)
    assert judge["calibration"]["kappa"]["value"] > 0.95
    assert judge["calibration"]["of"] == 25
    assert abs(judge["length_error_slope"]["value"]) < 0.05 < abs(judge["length_slope"]["value"])
    assert list(judge["calibration"]["by_language"]) == ["en"]
    assert judge["cost"]["requests"] == len(server.bill()) == 50 + 48 + 48
    assert judge["cost"]["cost"] is None
    assert health["agreement"] == []
    assert health["warnings"] == []
    json.dumps(health, allow_nan=False)


def test_modes_ask_for_what_they_say(tmp_path: Path) -> None:
    kinds = {}
    with serving(tmp_path) as server:
        for mode in ("score", "pair", "both"):
            judge_answers(items(2), [judge_at(server)], tmp_path / mode, Terms(mode=mode, least_kappa=0))
            kinds[mode] = sorted({row["kind"] for row in _rows(tmp_path / mode)})
    assert kinds == {"score": ["score"], "pair": ["pair"], "both": ["pair", "score"]}


def test_equal_answers_are_ties_that_nobody_is_asked_about(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        findings = judge_answers(items(4, base="right"), [judge_at(server)], tmp_path, UNCALIBRATED)
    assert {row["kind"] for row in _rows(tmp_path)} == {"score"}
    assert findings.preferences == {f"item-{n}": 0.5 for n in range(1, 5)}
    assert findings.health["preference"]["tie"] == 4
    assert findings.health["scores"]["difference"]["value"] == 0
    assert len(server.bill()) == 4, "equal requests are sent once"
    assert findings.health["judges"][0]["cost"]["requests"] == 4
    with serving(tmp_path, "scorer") as server:
        only_scored = judge_answers(items(4, base="right"), [judge_at(server)], tmp_path, Terms("score", least_kappa=0))
    assert only_scored.preferences == {}


def test_prices_give_a_cost(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        prices = {"input": 1_000_000, "output": 2_000_000, "currency": "CNY"}
        findings = judge_answers(items(3), [judge_at(server, prices=prices)], tmp_path, Terms("score", least_kappa=0))
    bill = server.bill()
    cost = findings.health["judges"][0]["cost"]
    asked, answered = (sum(line[name] for line in bill) for name in ("prompt_tokens", "completion_tokens"))
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (asked, answered)
    assert (cost["cost"], cost["currency"]) == (asked + 2 * answered, "CNY")


_FAULTS = {  # by fault of the server: the failure it comes to where it stays, None where the verdict is had all the same
    "429": None,
    "429_seconds": None,
    "429_date": None,
    "429_ms": None,
    "500": "unavailable",
    "502": "unavailable",
    "503": None,
    "html": "unavailable",
    "html_200": "unavailable",
    "400": "refused",
    "context": "refused",
    "filter": "refused",
    "key_400": "refused",
    "key_500": "unavailable",
    "cut": "unreadable",
    "empty": "unreadable",
    "null": "unreadable",
    "over_long": "unreadable",
    "not_json": "unreadable",
    "fenced": None,
    "trailing_comma": None,
    "wrong_shape": "unreadable",
    "refusal": "refused",
    "filtered": "refused",
    "half_sent": "unavailable",
    "reset_after": "unavailable",
    "hang": "timed_out",
    "reset": "unavailable",
    "silent": "timed_out",
    "half_json": "unavailable",
    "no_choices": "unavailable",
    "no_usage": None,
    "error_200": "unavailable",
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_is_typed_and_excluded_and_never_a_score(fault: str, tmp_path: Path) -> None:
    ends = fault in {"429", "429_seconds", "429_date", "429_ms", "503"}
    names = [fault, ""] if ends else [fault]
    with serving(tmp_path, scripts={"<1>": names}, retry_after=0) as server:
        findings = judge_answers(items(2), [judge_at(server, timeout=0.2)], tmp_path / "out", Terms("score", least_kappa=0))
    failure = _FAULTS[fault]
    [judge] = findings.health["judges"]
    judged = 4 if failure is None else 2
    assert judge["coverage"]["score"] == {"judged": judged, "of": 4, "verdicts": judged, "asked": 4}
    assert judge["failures"] == ({} if failure is None else {"score": {failure: 2}})
    assert findings.scores["tuned"] == ({"item-1": 5.0, "item-2": 5.0} if failure is None else {"item-2": 5.0})
    for row in _rows(tmp_path / "out"):
        is_hit = failure is not None and row["id"] == "item-1"
        assert (row["failure"], row["value"] is None) == ((failure, True) if is_hit else (None, False))
    assert ("not_covered" in _codes(findings)) == (failure is not None)
    assert KEY not in (tmp_path / "out" / "verdicts.jsonl").read_text(encoding="utf-8")


def test_what_did_not_come_back_is_no_request_that_was_paid(tmp_path: Path) -> None:
    with serving(tmp_path, scripts={"<1>": ["400"]}) as server:
        findings = judge_answers(items(2), [judge_at(server)], tmp_path, Terms("score", least_kappa=0))
    assert findings.health["judges"][0]["cost"]["requests"] == len(server.bill()) == 2


def test_a_judge_of_too_few_labelled_items_is_not_used(tmp_path: Path) -> None:
    known: list[str] = []

    def dropping_out(text: str) -> dict[str, Any]:
        if text not in known and len(known) < 9:
            known.append(text)
        return score(text) if text in known else {"reason": "Who knows?", "score": 0}

    with serving(tmp_path, answers={"Score": dropping_out}) as server:
        findings = judge_answers(items(1), [judge_at(server)], tmp_path, Terms("score"))
    [judge] = findings.health["judges"]
    assert judge["calibration"]["kappa"]["value"] == pytest.approx(1, abs=0.05)
    assert (judge["calibration"]["kappa"]["n"], judge["trusted"]) == (9, False)
    assert _codes(findings)[0] == "few_labels"


def test_a_score_beyond_the_scale_is_out_of_range(tmp_path: Path) -> None:
    answers = {"Score": lambda text: {"reason": "Superb.", "score": 7}}
    with serving(tmp_path, answers=answers) as server:
        findings = judge_answers(items(1), [judge_at(server)], tmp_path, Terms("score", least_kappa=0))
    assert findings.scores == {"base": {}, "tuned": {}}
    assert findings.health["judges"][0]["failures"] == {"score": {"out_of_range": 2}}
    [row, _] = _rows(tmp_path)
    assert row["detail"] == "wrong_shape: score: out of range: 7 is none of 1 to 5"
    assert row["prompt_tokens"] > 0, "what came back was paid for"
    assert findings.health["scores"]["difference"]["value"] is None


def test_a_server_that_takes_no_schema_is_told_the_schema(tmp_path: Path) -> None:
    with serving(tmp_path, structure="none") as server:
        findings = judge_answers(items(2), [judge_at(server)], tmp_path, UNCALIBRATED)
    assert findings.scores == {"base": {"item-1": 1.0, "item-2": 1.0}, "tuned": {"item-1": 5.0, "item-2": 5.0}}
    assert findings.preferences == {"item-1": 1.0, "item-2": 1.0}


def test_a_spent_budget_is_typed_and_the_rest_goes_on_later(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        short = judge_answers(
            items(6), [judge_at(server, budget={"tokens": 6_000})], tmp_path / "out", Terms("score", least_kappa=0)
        )
        [judge] = short.health["judges"]
        left = judge["failures"]["score"]["budget"]
        assert 0 < left < 12
        assert judge["coverage"]["score"]["judged"] == 12 - left
        whole = judge_answers(items(6), [judge_at(server)], tmp_path / "out", Terms("score", least_kappa=0))
    assert whole.health["judges"][0]["failures"] == {}
    assert len(server.bill()) == 12


def test_what_was_judged_is_not_asked_again(tmp_path: Path) -> None:
    with serving(tmp_path, scripts={"<2>": ["refusal"]}) as server:
        first = judge_answers(items(3), [judge_at(server)], tmp_path / "out", Terms(least_kappa=0, repeats=2))
        billed = len(server.bill())
        written = (tmp_path / "out" / "verdicts.jsonl").read_bytes()
        journal = next((tmp_path / "out" / "journal").iterdir())
        journal.write_bytes(journal.read_bytes()[:-20])  # cut off by a crash
        again = judge_answers(items(3), [judge_at(server)], tmp_path / "out", Terms(least_kappa=0, repeats=2))
        assert len(server.bill()) == billed
    assert first == again
    assert (tmp_path / "out" / "verdicts.jsonl").read_bytes() == written


def test_the_journal_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as server:
        first = judge_answers(items(3), [judge_at(server)], tmp_path / "out", UNCALIBRATED)
    # Neither server nor cache is there any more.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other-cache"))
    assert judge_answers(items(3), [judge_at(server)], tmp_path / "out", UNCALIBRATED) == first


def test_an_answer_that_talks_to_the_judge_gets_what_it_would_get_without(tmp_path: Path) -> None:
    plain = items(20)
    injected = [
        type(item)(item.id, item.family, item.language, item.question, item.reference, f"{item.base}\n{talk}", item.tuned)
        for item, talk in zip(plain, INJECTIONS, strict=True)
    ]
    with serving(tmp_path) as server:
        first = judge_answers(plain, [judge_at(server)], tmp_path / "plain", UNCALIBRATED)
        second = judge_answers(injected, [judge_at(server)], tmp_path / "injected", UNCALIBRATED)
    assert (first.scores, first.preferences) == (second.scores, second.preferences)
    assert set(second.scores["base"].values()) == {1.0}


def _first_is_better(text: str) -> dict[str, Any]:
    return {"reason": "It stands first.", "better": "first"}


def test_a_judge_that_follows_the_order_is_found_out(tmp_path: Path) -> None:
    with serving(tmp_path, answers={"Score": score, "Preference": _first_is_better}) as server:
        findings = judge_answers(items(12), [judge_at(server)], tmp_path, Terms("pair"))
    [judge] = findings.health["judges"]
    assert (judge["flips"]["value"], judge["position_bias"]["value"]) == (1, 1)
    assert findings.health["preference"]["tie"] == 12
    assert findings.health["preference"]["net"]["value"] == 0
    assert _codes(findings) == ["flips", "position"]
    assert (
        in_words(findings.health["warnings"][0], "en")
        == "scripted changed its choice with the order of the answers in 100% of pairs."
    )
    assert (
        in_words(findings.health["warnings"][1], "zh")
        == "scripted 偏向放在前面的回答，与内容无关（偏差 +1.00，1 表示总是选第一个）。"
    )


def _long_is_good(text: str) -> dict[str, Any]:
    answer = seen(text, "score").parts["answer"]
    return {"reason": "It is long.", "score": min(5, 1 + len(answer) // 35)}


def test_a_judge_that_likes_length_is_found_out_and_not_used(tmp_path: Path) -> None:
    with serving(tmp_path, answers={"Score": _long_is_good}) as server:
        findings = judge_answers(items(5), [judge_at(server)], tmp_path, Terms("score"))
    [judge] = findings.health["judges"]
    assert judge["length_error_slope"]["low"] > 0
    assert judge["calibration"]["kappa"]["value"] < 0.6
    assert judge["trusted"] is False
    assert findings.scores == {"base": {}, "tuned": {}}
    assert _codes(findings) == ["low_kappa", "length", "no_judge"]
    assert in_words(findings.health["warnings"][2], "en") == "No judge can be trusted: there are no scores."


def test_a_judge_that_cannot_read_the_labelled_items_is_not_used(tmp_path: Path) -> None:
    with serving(tmp_path, scripts={"<": ["refusal"]}) as server:
        findings = judge_answers(items(5), [judge_at(server)], tmp_path, Terms("score"))
    assert findings.scores == {"base": {}, "tuned": {}}
    assert _codes(findings) == ["few_labels", "not_covered", "not_covered", "no_judge"]
    assert in_words(findings.health["warnings"][0], "en") == (
        "scripted scored 0 of 25 labelled items: too few to know how far it can be trusted. Its verdicts are left out."
    )
    assert (
        in_words(findings.health["warnings"][1], "zh")
        == "25 个标注题中有 25 个没有得到 scripted 的有效评判。它们不计入，也不算作任何分数。"
    )


def test_repeats_that_differ_have_a_spread(tmp_path: Path) -> None:
    asked: dict[str, int] = {}

    def moody(text: str) -> dict[str, Any]:
        asked[text] = asked.get(text, 0) + 1
        return {"reason": f"Mood {asked[text]}.", "score": 2 + asked[text] % 2}

    with serving(tmp_path, answers={"Score": moody}) as server:
        findings = judge_answers(items(4), [judge_at(server, concurrency=1)], tmp_path, Terms("score", repeats=2, least_kappa=0))
    assert findings.health["judges"][0]["spread"]["value"] == pytest.approx(0.5**0.5)
    assert set(findings.scores["base"].values()) == {2.5}


def test_two_judges_are_compared_and_averaged(tmp_path: Path) -> None:
    def strict(text: str) -> dict[str, Any]:
        verdict = score(text)
        is_third = "<3>" in text
        return {**verdict, "score": 1} if is_third else verdict

    def contrary(text: str) -> dict[str, Any]:
        verdict = prefer(text)
        turned = {"first": "second", "second": "first"}
        return {**verdict, "better": turned.get(verdict["better"], "equal")} if "<3>" in text else verdict

    with ExitStack() as servers:
        kind = servers.enter_context(serving(tmp_path, "kind"))
        other = servers.enter_context(serving(tmp_path, "strict", {"Score": strict, "Preference": contrary}))
        findings = judge_answers(items(6), [judge_at(kind), judge_at(other)], tmp_path / "out", UNCALIBRATED)
    [agreement] = findings.health["agreement"]
    assert agreement["judges"] == [f"scripted at {kind.url}", f"scripted at {other.url}"]
    assert 0.6 < agreement["scores"]["value"] < 1
    assert agreement["scores"]["n"] == 12
    disagreements = findings.health["disagreements"]
    assert disagreements["n"] == 2
    assert disagreements["shown"] == [
        {"kind": "score", "id": "item-3", "answer": "tuned", "gap": 4.0, "values": [5.0, 1.0]},
        {"kind": "pair", "id": "item-3", "answer": "pair", "gap": 1.0, "values": [1.0, 0.0]},
    ]
    assert findings.scores["tuned"]["item-3"] == 3.0
    assert findings.preferences["item-3"] == 0.5
    assert [row["server"] for row in _rows(tmp_path / "out")] == [kind.url] * 24 + [other.url] * 24


def test_an_untrusted_judge_is_left_out_of_the_mean(tmp_path: Path) -> None:
    with ExitStack() as servers:
        right = servers.enter_context(serving(tmp_path, "right"))
        wrong = servers.enter_context(serving(tmp_path, "wrong", {"Score": lambda text: {"reason": "Fine.", "score": 5}}))
        findings = judge_answers(items(6), [judge_at(right), judge_at(wrong)], tmp_path / "out", Terms("score"))
    assert [judge["trusted"] for judge in findings.health["judges"]] == [True, False]
    assert set(findings.scores["base"].values()) == {1.0}
    assert _codes(findings) == ["low_kappa", "disagreement"]


def test_a_judge_named_twice_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server, pytest.raises(TeacherError) as caught:
        judge_answers(items(1), [judge_at(server)] * 2, tmp_path, UNCALIBRATED)
    assert (caught.value.what, caught.value.where, caught.value.hint) == (
        "scripted is named twice as a judge",
        "judge.by.1",
        "name another model; judge.repeats asks one judge several times",
    )
    assert server.bill() == []


def test_a_judge_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SECONDS_TO_APPEAR", 0.05)
    absent = Teacher(server="http://127.0.0.1:9/v1", model="scripted")
    with serving(tmp_path) as server, pytest.raises(TeacherError) as caught:
        judge_answers(items(1), [judge_at(server), absent], tmp_path / "out", UNCALIBRATED)
    assert caught.value.where == "judge.by.1.server"
    assert caught.value.what.startswith("no answer from http://127.0.0.1:9/v1 for 0.05 seconds")


def test_without_a_model_the_key_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TeacherError) as caught:
        judge_answers(items(1), [Teacher()], tmp_path, UNCALIBRATED)
    assert (caught.value.where, caught.value.hint) == ("judge.by.0", "set judge.by.0.server and judge.by.0.model")


def test_chinese_items_are_judged_and_calibrated_in_chinese(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        findings = judge_answers(items(3, language="zh"), [judge_at(server)], tmp_path, Terms("score"))
        prompts = [body["messages"][1]["content"] for body in server.server.bodies]
    assert all("材料到此为止" in prompt for prompt in prompts)
    assert list(findings.health["judges"][0]["calibration"]["by_language"]) == ["zh"]
    assert len(prompts) == 25 + 6


def test_every_warning_has_words_in_both_languages() -> None:
    words = read_yaml("judge", "words.yaml")
    assert words["en"].keys() == words["zh"].keys()
    values: dict[str, Any] = dict.fromkeys(("judge", "kind", "place", "first", "second"), "first")
    values |= dict.fromkeys(("n", "of", "missing"), 3)
    values |= dict.fromkeys(("kappa", "least", "low", "share", "bias", "slope"), 0.5)
    for language in ("en", "zh"):
        for code in words[language].keys() - {"names"}:
            sentence = in_words({"code": code, **values}, language)
            assert sentence
            assert "{" not in sentence


def test_nothing_to_judge_is_no_crash(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        findings = judge_answers([], [judge_at(server)], tmp_path, Terms())
    assert findings.scores == {"base": {}, "tuned": {}}
    assert _rows(tmp_path) == []
