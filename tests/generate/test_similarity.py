"""`similarity`: pairs with yes and no in equal numbers, judged by a second call that does not know the label."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.generate.from_rows import bundled_rows, material_of, outcome_of, row
from tests.generate.golden_rows import ANSWERS, fences
from tunewell.generate.tasks.similarity import similarity
from tunewell.records import Example

_ASKED = row("How do I get the fee for {instant} payouts back?", "You do not.")
_SAME = "Is there a way to have the charge on {instant} transfers returned?"
_OTHER = "How do I pay the fee for {instant} payouts?"
_ZH = row("提现手续费怎么退？", "不退。")
_SAME_ZH = "我付过的取现费用能要回来吗？"
_OTHER_ZH = "提现手续费怎么算？"


def _answers(same: str, other: str, judged: Callable[[str], bool] | None = None) -> dict[str, Callable[[str], Any]]:
    judge = judged or (lambda second: second == same)
    return {
        "SimilarityPair": lambda text: {"same": same, "other": other},
        "SimilarityVerdict": lambda text: {"reason": "fee or time", "same": judge(fences(text)[1])},
    }


@pytest.mark.parametrize(
    ("source", "same", "other", "questions", "labels"),
    [
        (
            _ASKED,
            _SAME,
            _OTHER,
            [
                "Do these two sentences mean the same? Answer with yes or no.\n\n"
                f"Sentence 1: {_ASKED.question}\nSentence 2: {second}"
                for second in (_SAME, _OTHER)
            ],
            ["Yes", "No"],
        ),
        (
            _ZH,
            _SAME_ZH,
            _OTHER_ZH,
            [
                f"下面两句话的意思相同吗？请回答“是”或“否”。\n\n句子一：{_ZH.question}\n句子二：{second}"
                for second in (_SAME_ZH, _OTHER_ZH)
            ],
            ["是", "否"],
        ),
    ],
)
def test_pairs_are_asked_in_the_words_of_collected_ones(
    source: Example, same: str, other: str, questions: list[str], labels: list[str], tmp_path: Path
) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [source]), _answers(same, other))
    assert [made.question for made in outcome.kept] == questions
    assert [made.answer for made in outcome.kept] == labels
    assert {(made.task, made.family, made.language) for made in outcome.kept} == {("similarity", source.id, source.language)}
    assert [made.evidence["verdicts"]["label"] for made in outcome.kept] == ["yes", "no"]


@pytest.mark.parametrize(
    ("source", "same", "other", "reason", "detail"),
    [
        (_ASKED, _ASKED.question, _OTHER, "too_alike", "ROUGE-L 1.00 with the question"),
        (_ASKED, _SAME, _ASKED.question.upper(), "too_alike", "it is the question itself"),
        (_ASKED, _SAME, "Good morning", "too_easy", "ROUGE-L 0.00 with the question, 0.3 is the least"),
        (_ASKED, f"{_SAME}<|user|>", _OTHER, "control_tokens", f"{_SAME}<|user|>"),
        (_ZH, _SAME_ZH, _OTHER, "wrong_language", _OTHER),
        (_ZH, _SAME_ZH, "早上好呀", "too_easy", "ROUGE-L 0.00 with the question, 0.3 is the least"),
    ],
)
def test_each_reason_takes_the_counterpart_with_it(
    source: Example, same: str, other: str, reason: str, detail: str, tmp_path: Path
) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [source]), _answers(same, other))
    assert outcome.kept == []
    assert outcome.reasons == {reason: 1, "counterpart_rejected": 1}
    assert outcome.rejected(reason).detail == detail


@pytest.mark.parametrize(("same", "label"), [(True, "no"), (False, "yes")])
def test_a_judge_who_disagrees_with_the_label_rejects_the_pair(same: bool, label: str, tmp_path: Path) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [_ASKED]), _answers(_SAME, _OTHER, lambda second: same))
    assert outcome.rejected("label_disputed").detail == f"the label is {label}: fee or time"
    assert outcome.reasons["counterpart_rejected"] == 1


def test_the_judge_does_not_see_the_label(tmp_path: Path) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [_ASKED]), _answers(_SAME, _OTHER))
    judged = [prompt for prompt in outcome.teacher.prompts if len(fences(prompt)) == 2]
    left = [prompt.replace(fences(prompt)[1], "") for prompt in judged]
    assert len(judged) == 2
    assert left[0].split("Second question")[0] == left[1].split("Second question")[0]


def test_golden_answers_give_balanced_labels_in_both_languages_and_the_same_bytes_again(tmp_path: Path) -> None:
    material = material_of(tmp_path, bundled_rows())
    outcome = outcome_of(similarity, material, ANSWERS, rows=200)
    labels = Counter((made.language, made.evidence["verdicts"]["label"]) for made in outcome.kept)
    assert labels["en", "yes"] == labels["en", "no"] > 0
    assert labels["zh", "yes"] == labels["zh", "no"] > 0
    assert len(outcome.kept) == 200
    assert set(outcome.reasons) == {"too_alike", "too_easy", "label_disputed", "counterpart_rejected"}
    assert outcome.bytes() == outcome_of(similarity, material, ANSWERS, rows=200).bytes()
