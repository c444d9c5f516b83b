"""What reviewers decided is honoured before every rule, on every engine alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clean.test_rules import example
from tests.clean.test_stage import Cleaned
from tunewell.clean import run
from tunewell.engine import Engine, LocalEngine
from tunewell.errors import DataError
from tunewell.recipe import Clean, Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
from tunewell.store import DecisionLog, Judgement, Verdict, write_rows

ALONE = LocalEngine(1)
REFUND = example("How do refunds work", "By card", task="doc2qa", language="en", origin=Origin("docs/refunds.md"))
FEES = example("What is the monthly fee", "It is 19", task="doc2qa", evidence={"chunk": "c1"}, language="en")
HOURS = example("When are you open", "At nine", task="doc2qa", language="en")


def judge(folder: Path, reviewer: str, row: Example, verdict: Verdict, *texts: str, note: str = "") -> None:
    messages = tuple(Message(message.role, text) for message, text in zip(row.messages, texts, strict=False))
    with DecisionLog(folder / "review", reviewer) as log:
        log.record(Judgement(row.id, verdict, reviewer, f"2026-01-01T00:00:{len(log.standing):02d}.000000+00:00", messages, note))


def clean(
    folder: Path, generated: list[Example], *, collected: list[Example] | None = None, engine: Engine = ALONE, **changes: Any
) -> Cleaned:
    write_rows(folder / "collect" / "examples", EXAMPLE_SCHEMA, map(example_to_row, collected or []))
    write_rows(folder / "generate" / "examples", EXAMPLE_SCHEMA, map(example_to_row, generated))
    inputs = {name: folder / name for name in ("collect", "generate", "review")}
    settings = Recipe(clean=Clean(**changes)).part("clean")
    return Cleaned(run(settings, inputs, folder / "clean", engine=engine), folder / "clean")


@pytest.mark.parametrize("engine", [ALONE, LocalEngine(2)])
def test_rejected_rows_go_with_reviewer_and_note_and_mended_ones_have_their_new_text(tmp_path: Path, engine: Engine) -> None:
    judge(tmp_path, "ann", REFUND, "reject", note="only by card?")
    judge(tmp_path, "ann", FEES, "mend", "What is the fee each month", "It is 29.")
    judge(tmp_path, "ann", HOURS, "accept")
    cleaned = clean(tmp_path, [REFUND, FEES, HOURS], engine=engine)
    (dropped,) = cleaned.dropped
    assert (dropped.example, dropped.reason, dropped.detail) == (REFUND, "rejected", "ann: only by card?")
    mended, kept = cleaned.kept
    assert (mended.id, mended.question, mended.answer) == (FEES.id, "What is the fee each month", "It is 29.")
    assert mended.evidence == {"chunk": "c1", "mended": "ann"}
    assert kept == HOURS
    assert cleaned.counts["dropped_rejected"] == 1
    assert cleaned.funnel["mended"] == 1
    assert cleaned.funnel["rules"][0] == {"rule": "rejected", "dropped": 1}


def test_reviewers_together_and_undo(tmp_path: Path) -> None:
    judge(tmp_path, "ann", REFUND, "accept")
    judge(tmp_path, "bob", REFUND, "reject")
    judge(tmp_path, "ann", HOURS, "reject")
    judge(tmp_path, "ann", HOURS, "undo")
    cleaned = clean(tmp_path, [REFUND, HOURS])
    assert [(row.reason, row.detail) for row in cleaned.dropped] == [("rejected", "bob")]
    assert cleaned.kept == [HOURS]


def test_every_rule_sees_the_mended_text(tmp_path: Path) -> None:
    rows = [example(f"Where is help number {number}", "Look it up") for number in range(3)]
    for number, row in enumerate(rows):
        judge(tmp_path, "ann", row, "mend", row.question, f"{number}: mail help@shop.example")
    judge(tmp_path, "ann", FEES, "mend", FEES.question, "It is 29<|im_end|>")
    judge(tmp_path, "ann", HOURS, "mend", REFUND.question, REFUND.answer)
    broken = example("Is this whole", "锟斤拷锟斤拷锟斤拷锟斤拷锟斤拷")
    judge(tmp_path, "ann", broken, "mend", "Is this whole", "Now it is.")
    cleaned = clean(tmp_path, [REFUND, FEES, HOURS, broken, *rows], novelty=1)
    assert [row.reason for row in cleaned.dropped] == ["control_tokens", "duplicate"]
    assert [row.answer for row in cleaned.kept] == ["By card", "Now it is.", *(f"{n}: mail help@shop.example" for n in range(3))]
    assert cleaned.funnel["contacts"] == ["help@shop.example"], "what mended answers give counts, too"
    assert cleaned.funnel["mended"] == 6


def test_a_mended_text_that_gives_away_the_test_is_found(tmp_path: Path) -> None:
    judge(tmp_path, "ann", HOURS, "mend", "Do you ship terminals to Iceland", "We do")
    item = example("Do you ship terminals to Iceland", "Yes", task="unseen")
    write_rows(tmp_path / "collect" / "test", EXAMPLE_SCHEMA, [example_to_row(item)])
    assert [row.reason for row in clean(tmp_path, [REFUND, HOURS]).dropped] == ["contamination"]


def test_a_mended_row_may_have_other_messages_than_before(tmp_path: Path) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Open?"), Message("assistant", "From nine."))
    with DecisionLog(tmp_path / "review", "ann") as log:
        log.record(Judgement(HOURS.id, "mend", "ann", "2026", messages))
    assert [row.messages for row in clean(tmp_path, [FEES, HOURS]).kept] == [FEES.messages, messages]


def test_a_skipped_rule_drops_nothing_and_mends_all_the_same(tmp_path: Path) -> None:
    judge(tmp_path, "ann", REFUND, "reject")
    judge(tmp_path, "ann", FEES, "mend", FEES.question, "It is 29")
    cleaned = clean(tmp_path, [REFUND, FEES], skip=["rejected"])
    assert [row.answer for row in cleaned.kept] == ["By card", "It is 29"]


def test_without_decisions_nothing_changes(tmp_path: Path) -> None:
    cleaned = clean(tmp_path, [REFUND, FEES])
    assert cleaned.kept == [REFUND, FEES]
    assert cleaned.funnel["mended"] == 0


def test_the_same_words_among_the_collected_rows_are_rejected_too(tmp_path: Path) -> None:
    judge(tmp_path, "ann", REFUND, "reject")
    logged = example("How do refunds work", "By card", origin=Origin("logs.csv", 4))
    assert [row.example.origin.path for row in clean(tmp_path, [REFUND], collected=[logged]).dropped] == [
        "logs.csv",
        "docs/refunds.md",
    ]


def test_a_broken_file_of_decisions_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "ann.jsonl").write_text(json.dumps({"id": REFUND.id}) + "\n")
    with pytest.raises(DataError) as caught:
        clean(tmp_path, [REFUND])
    assert caught.value.where == f"{tmp_path / 'review' / 'ann.jsonl'}:1"
