"""What the advice says, in both languages."""

from typing import Any

import pytest

from tests.sweep.answers import answers, candidate, shares
from tunewell.bundled import read_yaml
from tunewell.records import Result
from tunewell.sweep.advice import advise, find
from tunewell.sweep.formats import Candidate
from tunewell.sweep.ranking import rank

OWN, TEAM, ONE = candidate("auto", "own"), candidate("alpaca", "team"), candidate("bloomz")
_KNOWN = shares(40, 0.5, seed=1)


def _advice(found: dict[Candidate, list[Result]], template: str = "auto") -> dict[str, Any]:
    table = rank(found, confidence=0.95, seed=0)
    return advise(find(table, found, confidence=0.95, seed=0), template, confidence=0.95)


def test_a_clear_best_is_taken_and_the_recipe_is_to_be_changed() -> None:
    advice = _advice({OWN: answers(_KNOWN), TEAM: answers([share - 0.3 for share in _KNOWN])}, "alpaca")
    assert advice["format"] == "auto"
    assert advice["told_apart"]
    assert advice["text"].startswith("The data can tell the best two apart: BLEU ")
    assert ", p < 0.001)." in advice["text"]
    assert advice["text"].endswith(
        "Train with `auto`, the base's own format. The recipe says `template: alpaca`: set `template: auto`."
    )
    assert "数据能区分最好的两个" in advice["text_zh"]
    assert advice["text_zh"].endswith("请用 `auto`（基座自带的格式）训练。配方中是 `template: alpaca`：请改为 `template: auto`。")


def test_another_format_is_advised_only_where_the_data_can_tell() -> None:
    advice = _advice({OWN: answers([share - 0.3 for share in _KNOWN]), ONE: answers(_KNOWN)})
    assert (advice["format"], advice["told_apart"]) == ("bloomz", True)
    assert "Train with `bloomz`, a format beside them. The recipe says `template: auto`: set `template: bloomz`." in advice["text"]


def test_where_the_data_cannot_tell_the_bases_own_is_preferred() -> None:
    jittered = [share + (0.06 if place % 3 else -0.1) for place, share in enumerate(_KNOWN)]
    advice = _advice({OWN: answers(_KNOWN), ONE: answers(jittered), TEAM: answers([0.0] * 40)})
    assert advice["format"] == "auto"
    assert not advice["told_apart"]
    assert advice["text"].startswith("The data cannot tell the best two apart: BLEU ")
    assert ", p = 0." in advice["text"]
    assert "It would take about " in advice["text"]
    assert advice["text"].endswith(
        "Train with `auto`, the base's own format: what the data cannot tell apart, it decides. The recipe says so already."
    )


def test_few_families_are_named_as_the_reason() -> None:
    advice = _advice({OWN: answers([0.0] * 5), ONE: answers([0.9] * 5)})
    assert advice["format"] == "auto"
    assert "With 5 question families, fewer than 10, nothing is told apart." in advice["text"]
    assert "It would take" not in advice["text"]


def test_one_family_and_one_format_are_said_to_be_alone() -> None:
    assert "(no interval: one family)" in _advice({OWN: answers([0.5]), ONE: answers([0.4])})["text"]
    advice = _advice({OWN: answers(_KNOWN)})
    assert advice["text"].startswith("`auto` is the only format that could be scored (BLEU ")
    assert not advice["told_apart"]


def test_an_answer_loss_that_speaks_for_another_format_is_mentioned() -> None:
    found = {OWN: answers(_KNOWN, loss=2.0), ONE: answers([share - 0.3 for share in _KNOWN], loss=1.5)}
    noisy = [
        Result(
            **{**{name: getattr(result, name) for name in Result.__slots__}, "measures": {**result.measures, "answer_loss": loss}}
        )
        for result, loss in zip(found[ONE], [1.4, 1.6] * 20, strict=True)
    ]
    advice = _advice({**found, ONE: noisy})
    assert advice["format"] == "auto"
    assert "likelier under `bloomz`: 1.500 nats per token against 2.000 under `auto`" in advice["text"]
    assert "likelier" not in _advice({**found, ONE: answers([share - 0.3 for share in _KNOWN], loss=2.5)})["text"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_languages_have_the_same_words(language: str) -> None:
    words = read_yaml("sweep", "prompt.yaml")
    assert words[language].keys() == words["en"].keys()
    assert len(words[language]["scores"]) == len(words["en"]["scores"])
    assert words[language]["role"].keys() == words["en"]["role"].keys()
