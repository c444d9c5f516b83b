"""`similarity`: pairs with yes and no in equal numbers, judged by a second call that does not know the label."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.generate.from_rows import bundled_rows, material_of, outcome_of, row
from tests.generate.golden_rows import ANSWERS, fences
from tunewell.generate.checks import agreement
from tunewell.generate.tasks.similarity import similarity
from tunewell.records import Example

_ASKED = row("How do I get the fee for {instant} payouts back?", "You do not.")
_SAME = "How can I get back the fee for {instant} payouts?"
_OTHER = "How do I pay the fee for {instant} payouts?"
_ZH = row("提现手续费怎么退？", "不退。")
_SAME_ZH = "提现手续费怎么退回来？"
_OTHER_ZH = "提现手续费怎么算？"


def _answers(
    same: str | list[str], other: str | list[str], judged: Callable[[str], bool] | None = None
) -> dict[str, Callable[[str], Any]]:
    sames, others = ([texts] if isinstance(texts, str) else texts for texts in (same, other))
    judge = judged or (lambda second: second in sames)
    return {
        "SimilarityPair": lambda text: {"same": sames, "other": others},
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
        (_ASKED, "", _OTHER, "empty_answer", "an empty text"),
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


@pytest.mark.parametrize(
    ("source", "sames", "others", "chosen"),
    [
        # Near with near, though the far ones stand there too.
        (
            _ASKED,
            ["Is there any hope of seeing that charge again?", _SAME],
            [_OTHER, "Which of my payouts can be {instant} ones, please?"],
            (_SAME, _OTHER),
        ),
        (_ZH, ["付过的钱还能要回来吗？", _SAME_ZH], [_OTHER_ZH, "提现最晚几点到？"], (_SAME_ZH, _OTHER_ZH)),
    ],
)
def test_the_two_that_share_equally_many_words_are_taken(
    source: Example, sames: list[str], others: list[str], chosen: tuple[str, str], tmp_path: Path
) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [source]), _answers(sames, others))
    assert len(outcome.kept) == 2
    assert all(text in made.question for text, made in zip(chosen, outcome.kept, strict=True))
    alike = [made.evidence["verdicts"]["alike"] for made in outcome.kept]
    assert abs(alike[0] - alike[1]) <= 0.1


@pytest.mark.parametrize(
    ("source", "same", "other"),
    [(_ASKED, "Is there any hope of seeing that charge again?", _OTHER), (_ZH, "我付过的取现费用能要回来吗？", _OTHER_ZH)],
)
def test_a_pair_that_words_tell_apart_is_rejected_before_anybody_judges(
    source: Example, same: str, other: str, tmp_path: Path
) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [source]), _answers(same, other))
    assert outcome.reasons == {"words_tell": 2}
    likeness = [agreement(source.question, text) for text in (same, other)]
    assert {made.detail for made in outcome.made} == {
        f"ROUGE-L {likeness[0]:.2f} where they ask the same, {likeness[1]:.2f} where not"
    }
    assert outcome.teacher.asked["SimilarityVerdict"] == 0


@pytest.mark.parametrize(("same", "label", "asked"), [(True, "no", 2), (False, "yes", 1)])
def test_a_judge_who_disagrees_with_the_label_rejects_the_pair_and_is_asked_no_more(
    same: bool,
    label: str,
    asked: int,
    tmp_path: Path,
) -> None:
    outcome = outcome_of(similarity, material_of(tmp_path, [_ASKED]), _answers(_SAME, _OTHER, lambda second: same))
    assert outcome.rejected("label_disputed").detail == f"the label is {label}: fee or time"
    assert outcome.reasons["counterpart_rejected"] == 1
    assert outcome.teacher.asked["SimilarityVerdict"] == asked


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
    assert set(outcome.reasons) == {"too_alike", "too_easy", "words_tell", "label_disputed", "counterpart_rejected"}
    assert outcome.bytes() == outcome_of(similarity, material, ANSWERS, rows=200).bytes()


def _auroc(rows: Sequence[tuple[str, float]]) -> float:
    """How often a pair with yes has the larger figure than one with no; a half of the time where the figure says nothing."""
    yes, no = ([figure for label, figure in rows if label == wanted] for wanted in ("yes", "no"))
    return sum((one > other) + (one == other) / 2 for one in yes for other in no) / (len(yes) * len(no))


@pytest.mark.parametrize("code", ["en", "zh"])
def test_the_overlap_of_words_does_not_tell_the_label_though_the_teacher_writes_nearer_opposites(code: str, tmp_path: Path) -> None:
    rows = [example for example in bundled_rows() if example.language == code]
    outcome = outcome_of(similarity, material_of(tmp_path, rows), ANSWERS, rows=200)
    told = [made.evidence["verdicts"] for made in outcome.kept]
    assert _auroc([(verdicts["label"], verdicts["alike"]) for verdicts in told]) == pytest.approx(0.5, abs=0.08)
    written = [
        (fences(prompt)[0], ANSWERS["SimilarityPair"](prompt)) for prompt in outcome.teacher.prompts if len(fences(prompt)) == 1
    ]
    first = [
        (label, agreement(question, texts[0]))
        for question, lists in written
        for label, texts in (("yes", lists["same"]), ("no", lists["other"]))
    ]
    assert _auroc(first) < 0.35
