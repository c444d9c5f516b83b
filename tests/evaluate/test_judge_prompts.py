"""What a judge is shown: all that is judged stands between marks, whatever it says."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.judging import GUESSED_CODE, INJECTIONS, prefer, score, seen
from tunewell.bundled import read_yaml
from tunewell.evaluate.judge import conversation, rubrics
from tunewell.evaluate.judge.rubrics import Preference, Score, code_for, pair_request, score_request
from tunewell.records import Message
from tunewell.text import defused

_QUESTION, _REFERENCE, _WRONG = "How long does it take?", "It takes five days.", "It never ends."
_LANGUAGES = ("en", "zh")


def _scored(answer: str, language: str = "en") -> str:
    return score_request(_QUESTION, _REFERENCE, answer, language=language, repeat=0, repeats=1).messages[-1].content


def _paired(first: str, second: str, language: str = "en") -> str:
    return pair_request(_QUESTION, _REFERENCE, (first, second), language=language, repeat=0, repeats=1).messages[-1].content


@pytest.mark.parametrize("language", _LANGUAGES)
@pytest.mark.parametrize("place", range(len(INJECTIONS)))
def test_an_answer_that_talks_to_the_judge_changes_nothing(place: int, language: str) -> None:
    injected = f"{_WRONG} {INJECTIONS[place]}"
    scored = _scored(injected, language)
    assert seen(scored, "score").parts == {"question": _QUESTION, "reference": _REFERENCE, "answer": defused(injected)}
    assert score(scored)["score"] == score(_scored(_WRONG, language))["score"] == 1
    for first, second in ((injected, _REFERENCE), (_REFERENCE, injected), (injected, _WRONG), (_WRONG, injected)):
        plain = [_WRONG if text == injected else text for text in (first, second)]
        paired = _paired(first, second, language)
        assert seen(paired, "pair").outside == ""
        assert prefer(paired) == prefer(_paired(plain[0], plain[1], language))


@pytest.mark.parametrize("place", range(len(INJECTIONS)))
def test_an_answer_that_is_nothing_but_talk_to_the_judge_is_wrong(place: int) -> None:
    assert score(_scored(INJECTIONS[place]))["score"] == 1
    assert prefer(_paired(INJECTIONS[place], _REFERENCE))["better"] == "second"


def test_marks_that_could_be_guessed_would_let_answers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rubrics, "code_for", lambda texts: GUESSED_CODE)
    out = [place for place, injection in enumerate(INJECTIONS) if score(_scored(f"{_WRONG} {injection}"))["score"] == 5]
    assert out == [4, 5, 14, 15]
    assert score(_scored(_WRONG))["score"] == 1


@given(texts=st.lists(st.text() | st.text("0123456789abcdef", max_size=40), min_size=1, max_size=4))
def test_no_text_holds_the_code_of_its_marks(texts: Sequence[str]) -> None:
    code = code_for(texts)
    assert len(code) == 16
    assert code == code_for(list(texts))
    assert not any(code in text for text in texts)


def test_a_code_that_stands_in_a_text_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class WeakHash:
        def __init__(self, data: bytes = b"", **_: int) -> None:
            self._last = data[-1:].decode()

        def update(self, data: bytes) -> None:
            pass

        def hexdigest(self) -> str:
            return self._last * 16

    monkeypatch.setattr(rubrics, "hashlib", SimpleNamespace(blake2b=WeakHash))
    assert code_for(["no digits"]) == "0" * 16
    assert code_for(["a" + "0" * 16, "1" * 17]) == "2" * 16


@given(answer=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_answer_comes_back_from_between_its_marks(answer: str) -> None:
    text = score_request(_QUESTION, _REFERENCE, answer, language="en", repeat=0, repeats=1).messages[-1].content
    found = seen(text, "score")
    assert (found.parts["answer"], found.outside) == (defused(answer), "")


@pytest.mark.parametrize("kind", ["score", "pair"])
@pytest.mark.parametrize("language", _LANGUAGES)
def test_rubrics_say_how_marks_are_read_and_give_an_example_that_is_valid(kind: str, language: str) -> None:
    rubric = read_yaml("judge", f"{kind}.{language}.yaml")
    shape = Score if kind == "score" else Preference
    example = next(line for line in rubric["system"].splitlines() if line.startswith("{"))
    assert shape.model_validate_json(example).reason.strip()
    names = {"score": ("answer",), "pair": ("first", "second")}[kind]
    word = {"en": "CODE", "zh": "代码"}[language]
    assert all(f"<{name} {word}>" in rubric["system"] for name in ("question", "reference", *names))
    assert "{code}" in rubric["opening"]
    assert set(rubric["roles"]) == {"system", "user", "assistant"}


def test_the_rubric_is_that_of_the_language_of_the_item() -> None:
    assert "材料到此为止" in _scored(_WRONG, "zh")
    assert "Here the material ends" in _scored(_WRONG, "en")
    assert _scored(_WRONG, "fr") == _scored(_WRONG, "en")


def test_the_system_text_is_the_same_for_all_items() -> None:
    requests = [score_request(str(number), "", "", language="en", repeat=0, repeats=1) for number in range(3)]
    assert len({request.messages[0] for request in requests}) == 1
    assert len({request.messages[1] for request in requests}) == 3


def test_one_verdict_is_asked_at_temperature_zero_and_several_above() -> None:
    once = score_request(_QUESTION, _REFERENCE, _WRONG, language="en", repeat=0, repeats=1)
    thrice = [score_request(_QUESTION, _REFERENCE, _WRONG, language="en", repeat=repeat, repeats=3) for repeat in range(3)]
    assert once.temperature == 0
    assert {request.temperature for request in thrice} == {0.7}
    assert [request.repeat for request in thrice] == [0, 1, 2]


def test_the_schema_offers_the_five_scores_and_the_three_choices() -> None:
    assert Score.model_json_schema()["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]
    assert Preference.model_json_schema()["properties"]["better"]["enum"] == ["first", "second", "equal"]
    assert list(Score.model_json_schema()["properties"]) == ["reason", "score"]


def test_a_conversation_is_one_text() -> None:
    assert conversation([Message("user", "几点开门？")], "zh") == "几点开门？"
    turns = [Message("system", "简短"), Message("user", "几点开门？"), Message("assistant", "九点。"), Message("user", "周日呢？")]
    assert conversation(turns, "zh") == "系统: 简短\n用户: 几点开门？\n助手: 九点。\n用户: 周日呢？"
