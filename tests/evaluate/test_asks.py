"""What is asked: every slice, every shell, every kind, and the question itself never lost."""

import json
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from rapidfuzz import fuzz

from tunewell.bundled import asset, read_jsonl, read_yaml
from tunewell.evaluate.asks import brittleness_asks, constraint_asks, domain_asks, facets_of, leakage_asks
from tunewell.evaluate.constraints import constraint_measures
from tunewell.records import Example, Message, Origin
from tunewell.text import language as language_of
from tunewell.text import normalise


def _test(task: str, number: int, language: str = "en") -> Example:
    question = f"question {number} {task}?" if language == "en" else f"第{number}个问题{task}"
    messages = (Message("user", question), Message("assistant", f"answer {number}"))
    return Example(messages, "domain", Origin("t", number), task=task, language=language, family=f"f{number}")


@pytest.fixture
def tests() -> list[Example]:
    return [_test(task, number) for number in range(6) for task in ("seen", "paraphrase", "unseen")]


def test_domain_items_are_the_test_items_slice_by_slice(tests: list[Example]) -> None:
    asks = domain_asks(tests, per_slice=4)
    assert [ask.variant for ask in asks] == ["seen"] * 4 + ["paraphrase"] * 4 + ["unseen"] * 4
    assert len({ask.item for ask in asks}) == 12
    assert asks[0].prompt == "question 0 seen?"
    assert asks[0].reference == "answer 0"
    assert {ask.family for ask in asks} == {"f0", "f1", "f2", "f3"}


def test_each_trained_question_is_asked_in_every_shell(tests: list[Example]) -> None:
    asks = list(brittleness_asks(tests, questions=3))
    shells = read_yaml("probes", "en.yaml")["shells"]
    assert len(asks) == 3 * len(shells)
    assert {ask.variant for ask in asks} == {shell["name"] for shell in shells}
    for ask in asks:
        question = next(test.question for test in tests if test.id == ask.item)
        assert question.endswith("seen?")
        assert question in ask.prompt
        assert "{question}" not in ask.prompt
        assert ask.check["held_out"] == next(shell["held_out"] for shell in shells if shell["name"] == ask.variant)
    with_system = [ask for ask in asks if ask.messages[0].role == "system"]
    assert with_system
    assert all(ask.messages[-1].role == "user" for ask in asks)


def test_without_trained_questions_the_unseen_ones_are_asked() -> None:
    assert {ask.item for ask in brittleness_asks([_test("unseen", 1)], questions=5)} == {_test("unseen", 1).id}


def test_one_two_and_three_constraints_take_turns_and_stand_after_the_question(tests: list[Example]) -> None:
    asks = list(constraint_asks(tests, count=40))
    numbers = ["1_constraint", "2_constraints", "3_constraints"]
    assert [ask.variant for ask in asks] == [numbers[place % 3] for place in range(40)]
    assert len({ask.item for ask in asks}) == 40
    for place, ask in enumerate(asks):
        texts = [constraint["text"] for constraint in ask.check["constraints"]]
        assert len(texts) == place % 3 + 1
        assert ask.prompt.endswith("? " + " ".join(texts))
        assert " seen?" not in ask.prompt


def test_constraints_are_the_same_every_time(tests: list[Example]) -> None:
    assert list(constraint_asks(tests, count=20)) == list(constraint_asks(tests, count=40))[:20]


def test_an_answer_is_judged_by_all_it_was_asked() -> None:
    ask = list(constraint_asks([_test("unseen", 1)], count=3))[2]
    kinds = [constraint["kind"] for constraint in ask.check["constraints"]]
    assert set(constraint_measures("", ask.check["constraints"])) == {
        "followed",
        "loose",
        *(f"{reading}/{kind}" for kind in kinds for reading in ("strict", "loose")),
    }


def test_chinese_questions_get_chinese_constraints() -> None:
    asks = list(constraint_asks([_test("unseen", 1, "zh")], count=14))
    assert all(ask.language == "zh" and language_of(ask.prompt) == "zh" for ask in asks)
    texts = [constraint["text"] for constraint in asks[1].check["constraints"]]
    assert asks[1].prompt == "第1个问题unseen" + "".join(texts)


def test_each_language_takes_its_own_turns() -> None:
    mixed = [test for number in range(9) for test in (_test("unseen", number), _test("unseen", number, "zh"))]
    asks = list(constraint_asks(mixed, count=18))
    for code in ("en", "zh"):
        assert [len(ask.check["constraints"]) for ask in asks if ask.language == code] == [1, 2, 3] * 3


def test_leakage_prompts_are_general_and_near_misses_in_each_language() -> None:
    asks = list(leakage_asks(["en", "zh"], count=60))
    counts = {
        (ask.language, ask.variant): sum((a.language, a.variant) == (ask.language, ask.variant) for a in asks) for ask in asks
    }
    assert counts == {("en", "general"): 20, ("en", "near_miss"): 10, ("zh", "general"): 20, ("zh", "near_miss"): 10}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_bundled_probes_are_well_formed(language: str) -> None:
    probes = read_yaml("probes", f"{language}.yaml")
    shells = probes["shells"]
    assert shells[0] == {"name": "plain", "system": "", "text": "{question}", "held_out": False}
    assert len(shells) >= 8
    assert 2 * sum(shell["held_out"] for shell in shells) == len(shells)
    assert all(shell["text"].count("{question}") == 1 for shell in shells)
    for held_out in (False, True):
        assert {bool(shell["system"]) for shell in shells if shell["held_out"] == held_out} == {False, True}
    assert len(probes["general"]) >= 200
    assert len(probes["near_miss"]) >= 100
    prompts = [*probes["general"], *probes["near_miss"]]
    assert {language_of(prompt) for prompt in prompts} <= {language, ""}
    alike = [pair for pair in combinations(sorted(prompts, key=len), 2) if fuzz.ratio(*pair, score_cutoff=90) > 90]
    assert alike == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_prompt_of_a_probe_stands_in_the_bundled_training_data(language: str) -> None:
    probes = read_yaml("probes", f"{language}.yaml")
    open_rows = json.loads(asset("open", f"{language}.json").read_text(encoding="utf-8"))
    trained = [row["instruction"] + row["input"] for row in open_rows]
    trained += [row["messages"][0]["content"] for row in read_jsonl("support", language, "qa.jsonl")]
    trained += asset("replay", f"{language}.txt").read_text(encoding="utf-8").splitlines()
    assert not set(map(normalise, trained)) & set(map(normalise, [*probes["general"], *probes["near_miss"]]))


def test_a_sample_of_leakage_prompts_is_taken_from_the_whole_list() -> None:
    general = read_yaml("probes", "en.yaml")["general"]
    places = [general.index(ask.prompt) for ask in leakage_asks(["en"], count=30) if ask.variant == "general"]
    assert places == [place * len(general) // 20 for place in range(20)]
    everything = list(leakage_asks(["en"], count=10_000))
    assert len(everything) == len(general) + len(read_yaml("probes", "en.yaml")["near_miss"])


def test_facets_are_the_turns_the_length_and_the_most_frequent_topics() -> None:
    tests = [
        replace(_test("unseen", number), evidence={"topic": f"topic {number % 25 if number < 50 else 0}"}) for number in range(90)
    ]
    facets = facets_of(tests)
    assert set(facets) == {f"unseen/{test.id}" for test in tests}
    assert Counter(facet["length"] for facet in facets.values()) == {"short": 30, "medium": 30, "long": 30}
    topics = Counter(facet["topic"] for facet in facets.values())
    assert len(topics) == 21
    assert (topics["topic 0"], topics["(other)"]) == (42, 10)
    assert {facet["turns"] for facet in facets.values()} == {"single"}
    assert "topic" not in facets_of([_test("seen", 1)])[f"seen/{_test('seen', 1).id}"]


@pytest.mark.parametrize(("language", "least"), [("en", 200), ("zh", 80)])
def test_bundled_retention_items_are_well_formed(language: str, least: int) -> None:
    rows = read_jsonl("retention", f"{language}.jsonl")
    assert len(rows) >= least
    assert len({row["ability"] for row in rows}) == 8
    assert all(len(set(row["choices"])) == 4 and 0 <= row["answer"] < 4 for row in rows)
    places = [sum(row["answer"] == place for row in rows) for place in range(4)]
    assert max(places) - min(places) <= len(rows) / 10, "no position may be right more often than another"
