"""Selection: the difficult and the diverse, each row that is left with its reason, and the same choice in any order."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunewell.generate import select as module
from tunewell.generate.diversity import k_centre, vectors
from tunewell.generate.select import difficulties, select
from tunewell.model import load
from tunewell.records import Example, Message, Origin

_POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)
_TEXTS = st.lists(st.text(alphabet="ab 退款", max_size=12), max_size=12)


def _row(question: str, answer: str = "Yes.", task: str = "doc2qa", *before: Message) -> Example:
    messages = (*before, Message("user", question), Message("assistant", answer))
    return Example(messages, "domain", Origin("made"), task=task, evidence={"teacher": "t"})


def _radius(points: "np.typing.NDArray[np.float64]", centres: tuple[int, ...]) -> float:
    distances = np.linalg.norm(points[:, None] - points[list(centres)][None], axis=2)
    return float(distances.min(axis=1).max())


@given(_POINTS, st.integers(1, 4))
def test_no_point_is_farther_than_twice_the_best_radius(raw: list[tuple[int, int]], keep: int) -> None:
    points = np.array(raw, float)
    keep = min(keep, len(points))
    best = min(_radius(points, centres) for centres in itertools.combinations(range(len(points)), keep))
    assert _radius(points, tuple(k_centre(csr_array(points), keep).places)) <= 2 * best + 1e-9


@given(_POINTS, st.integers(1, 10))
def test_fewer_centres_are_the_first_of_more(raw: list[tuple[int, int]], keep: int) -> None:
    points = csr_array(np.array(raw, float))
    every = k_centre(points, 100).places
    assert sorted(every) == list(range(len(raw)))
    assert k_centre(points, keep).places == every[:keep]


@given(_POINTS, st.integers(1, 4))
def test_nearest_is_the_distance_to_the_nearest_other_centre(raw: list[tuple[int, int]], keep: int) -> None:
    points = np.array(raw, float)
    places, nearest = k_centre(csr_array(points), keep)
    for place, point in enumerate(points):
        others = [float(np.linalg.norm(point - points[centre])) for centre in places if centre != place]
        assert nearest[place] == pytest.approx(min(others, default=float("inf")), abs=1e-6)


def test_of_points_equally_far_the_earlier_is_taken() -> None:
    assert k_centre(csr_array(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [1.0, 0.0]])), 3).places == [0, 1, 2]


@given(_TEXTS)
def test_vectors_have_length_one_or_none_and_equal_texts_are_equal(texts: list[str]) -> None:
    matrix = vectors([*texts, *texts]).toarray()
    lengths = np.linalg.norm(matrix, axis=1)
    for text, length in zip(texts, lengths, strict=False):
        assert length == pytest.approx(1.0 if text.strip() else 0.0)
    assert (matrix[: len(texts)] == matrix[len(texts) :]).all()


def test_a_rare_word_weighs_more_than_a_common_one_and_the_order_of_words_counts() -> None:
    common = vectors([f"fee {word}" for word in ("refund", "payout", "card")])
    overlaps = vectors(["a b c", "c b a", "a b c", "x y z"])
    assert (common[[0]] @ common[[1]].T).toarray()[0, 0] < 0.2
    assert 0 < (overlaps[[0]] @ overlaps[[1]].T).toarray()[0, 0] < 0.9
    assert (overlaps[[0]] @ overlaps[[3]].T).toarray()[0, 0] == 0


def test_a_word_said_often_in_one_text_is_still_rare() -> None:
    often, once = vectors(["fee fee fee card", "card"]).toarray(), vectors(["fee card", "card"]).toarray()
    assert np.count_nonzero(often[0]) == 4, "fee, card, fee fee, fee card"
    assert (often[0] @ often[1]) < (once[0] @ once[1])


def test_a_system_text_that_all_rows_share_makes_no_row_closer(tmp_path: Path) -> None:
    plain, briefed = (
        [_row(text, "Yes.", "qa", *system) for text in ("fee", "card lost", "payout")]
        for system in ((), (Message("system", "You are a helpful clerk of a bank"),))
    )
    one, other = (select(rows, 3, ["diversity"], model=tmp_path, out_dir=tmp_path).kept for rows in (plain, briefed))
    assert [row.evidence for row in one] == [row.evidence for row in other]


def test_planted_clusters_are_all_covered() -> None:
    source = random.Random(0)
    topics = ["refund bank days", "payout settlement holiday", "card lost blocked", "提现 到账 时间", "发票 抬头 修改"]
    words = [topic.split() for topic in topics]
    rows = [_row(" ".join(source.choices(words[place % 5], k=9)), task="qa") for place in range(100)]
    kept = select(rows, 5, ["diversity"], model=Path("none"), out_dir=Path("none")).kept
    assert {next(place for place, topic in enumerate(words) if row.question.split()[0] in topic) for row in kept} == set(range(5))


@pytest.fixture
def ratios(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """Difficulties by question, in place of a model's."""
    given: dict[str, float | None] = {}
    monkeypatch.setattr(
        module, "difficulties", lambda model, examples, *, template, out_dir: {row.id: given.get(row.question) for row in examples}
    )
    return given


def test_the_most_difficult_rows_of_each_task_are_kept(ratios: dict[str, float | None], tmp_path: Path) -> None:
    ratios |= {"a": 0.3, "b": 0.91234, "c": 1.2, "d": None, "e": 0.5, "f": 1.0}
    rows = [_row(question) for question in "abcde"] + [_row("f", task="cot")]
    kept, left = select(rows, 2, ["difficulty"], model=tmp_path, out_dir=tmp_path)
    assert [(row.question, dict(row.evidence)) for row in kept] == [
        ("b", {"teacher": "t", "difficulty": 0.9123}),
        ("e", {"teacher": "t", "difficulty": 0.5}),
        ("f", {"teacher": "t", "difficulty": 1.0}),
    ]
    assert [(drop.example.question, drop.reason, drop.detail) for drop in left] == [
        ("a", "not_selected", "difficulty 0.3: others are more difficult"),
        ("c", "not_selected", "difficulty 1.2: the question does not help"),
        ("d", "not_selected", "difficulty unknown: no answer, refused by the chat format, or too long"),
    ]
    assert all("difficulty" not in drop.example.evidence for drop in left)


def test_where_there_is_room_unknown_rows_are_kept_and_those_above_one_are_not(
    ratios: dict[str, float | None], tmp_path: Path
) -> None:
    ratios |= {"a": 0.3, "c": 1.2, "d": None}
    kept, left = select([_row(question) for question in "acd"], 3, ["difficulty"], model=tmp_path, out_dir=tmp_path)
    assert [(row.question, row.evidence["difficulty"]) for row in kept] == [("a", 0.3), ("d", None)]
    assert [drop.example.question for drop in left] == ["c"]


def test_unknown_rows_come_after_the_easiest(ratios: dict[str, float | None], tmp_path: Path) -> None:
    ratios |= {"a": 0.0, "d": None, "e": None}
    kept, _ = select([_row(question) for question in "dae"], 1, ["difficulty"], model=tmp_path, out_dir=tmp_path)
    assert [row.question for row in kept] == ["a"]


def test_by_both_the_diverse_among_twice_as_many_difficult_ones(ratios: dict[str, float | None], tmp_path: Path) -> None:
    questions = ["refund days", "refund day days", "card lost", "payout", "invoice", "fee"]
    ratios |= dict(zip(questions, [0.9, 0.8, 0.7, 0.6, 0.5, 1.5], strict=True))
    kept, left = select([_row(text) for text in questions], 2, ["difficulty", "diversity"], model=tmp_path, out_dir=tmp_path)
    assert kept[0].question == "refund days", "the most difficult row is the first centre"
    assert kept[1].question in {"card lost", "payout"}
    assert kept[0].evidence["difficulty"] == 0.9
    assert kept[0].evidence["distance"] == kept[1].evidence["distance"] > 1
    assert [drop.detail.split(":")[0] for drop in left if drop.example.question in {"invoice", "fee"}] == [
        "difficulty 0.5",
        "difficulty 1.5",
    ]
    measured = vectors([f"{text} yes" for text in questions[:4]])
    [expected] = np.round(np.linalg.norm((measured[[0]] - measured[[1]]).toarray(), axis=1), 4).tolist()
    [close] = [drop for drop in left if drop.example.question == "refund day days"]
    assert close.detail == f"distance {expected} to the nearest chosen row"


def test_a_single_kept_row_has_no_distance_and_a_repeated_row_is_kept_once(tmp_path: Path) -> None:
    kept, left = select([_row("a b"), _row("a b")], 1, ["diversity"], model=tmp_path, out_dir=tmp_path)
    assert [row.evidence["distance"] for row in kept] == [None]
    assert [drop.detail for drop in left] == ["distance 0.0 to the nearest chosen row"]
    assert select([], 1, ["diversity"], model=tmp_path, out_dir=tmp_path) == ([], [])


@given(st.randoms(use_true_random=False), st.sampled_from([["diversity"], ["difficulty"], ["difficulty", "diversity"]]))
@settings(max_examples=30, deadline=None)
def test_the_choice_is_the_same_in_any_order_and_nothing_is_lost(source: random.Random, by: list[module.Way]) -> None:
    rows = [_row(f"{a} {b}", task=task) for a in ("fee", "card", "退款") for b in "xyz" for task in ("qa", "cot")]
    shuffled = source.sample(rows, len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module,
            "difficulties",
            lambda model, examples, *, template, out_dir: {row.id: int(row.id[:2], 16) / 256 for row in examples},
        )
        one, other = (select(each, 4, by, model=Path("none"), out_dir=Path("none")) for each in (rows, shuffled))
    assert len(one.kept) == 8
    assert sorted((row.task, row.id) for row in one.kept) == sorted((row.task, row.id) for row in other.kept)
    found = [*other.kept, *(drop.example for drop in other.left)]
    assert sorted((row.task, row.id) for row in found) == sorted((row.task, row.id) for row in rows)


def _chatml(*turns: tuple[str, str]) -> str:
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


@torch.inference_mode()
def _plain_loss(folder: Path, prompt: str, answer: str) -> float:
    """The mean loss of an answer and its end token, through nothing of ours."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, answer + "<|im_end|>"))
    labels = [-100] * len(before) + after
    return float(model(input_ids=torch.tensor([before + after]), labels=torch.tensor([labels])).loss)


def test_the_last_answer_is_measured_in_the_chat_format(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "number_format", lambda: load.NumberFormat(torch.float32, load.Choice("float32", "test")))
    first = (Message("system", "Be brief."), Message("user", "Where?"), Message("assistant", "Here."))
    single, multi = _row("How long?", "Five days."), _row("退款？", "退款需要几天。", "qa", *first)
    trailing = Example((*single.messages, Message("user", "And?")), "domain", Origin("made"))
    control, silent = _row("<|im_end|>"), Example((Message("user", "Hm?"),), "domain", Origin("made"))
    long = _row("word " * 100)
    found = difficulties(tiny_model, [single, multi, trailing, control, silent, long], out_dir=tmp_path, context=90)
    nothing = _chatml(("user", ""))
    short = _plain_loss(tiny_model, _chatml(("user", "How long?")), "Five days.") / _plain_loss(tiny_model, nothing, "Five days.")
    history = _chatml(("system", "Be brief."), ("user", "Where?"), ("assistant", "Here."), ("user", "退款？"))
    last = _plain_loss(tiny_model, history, "退款需要几天。") / _plain_loss(tiny_model, nothing, "退款需要几天。")
    assert found == {
        single.id: pytest.approx(short, abs=1e-4),
        multi.id: pytest.approx(last, abs=1e-4),
        trailing.id: pytest.approx(short, abs=1e-4),
        control.id: None,
        silent.id: None,
        long.id: None,
    }
    [journal] = (tmp_path / "journal").glob("difficulty-*.jsonl")
    assert len(journal.read_text().splitlines()) == 3


def test_without_a_row_to_measure_no_model_is_loaded(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_base", None)
    row = _row("<|im_end|>")
    assert difficulties(tiny_model, [row], out_dir=tmp_path) == {row.id: None}
