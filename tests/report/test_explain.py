"""The life of a row, read from runs that ended at each stage."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell import clean
from tunewell.errors import DataError
from tunewell.recipe import Recipe
from tunewell.records import (
    DOCUMENT_SCHEMA,
    DROPPED_SCHEMA,
    EXAMPLE_SCHEMA,
    Document,
    Dropped,
    Example,
    Message,
    Origin,
    document_to_row,
    dropped_to_row,
    example_to_row,
    examples_to_table,
)
from tunewell.report import life
from tunewell.report.explain import Quote, Step, _placed
from tunewell.store import Manifest, ShardWriter, write_rows

STAGES = ("collect", "generate", "clean", "mix")
CHUNK = Document(
    "c0ffee00c0ffee00", "pages/refunds.md", "Refunds > Timing", "A refund takes five days.\n五天到账。", 120, 152, "en"
)
VERDICTS = {"agreement": 0.83, "closed_book": False}


def example(question: str, answer: str, *, origin: Origin = Origin("qa.jsonl", 1), **more: Any) -> Example:  # noqa: B008
    return Example((Message("user", question), Message("assistant", answer)), "domain", origin, language="en", **more)


def written(question: str, answer: str, **evidence: Any) -> Example:
    known = {
        "task": "doc2qa",
        "teacher": "sage",
        "calls": [{"step": "doc2qa.answer", "key": "k1", "prompt": "p1"}],
        "tokens": 120.5,
        "cost": 0.002,
        "verdicts": VERDICTS,
    }
    return example(question, answer, origin=Origin("doc2qa"), task="doc2qa", family=CHUNK.id, evidence={**known, **evidence})


ASKED = example("How do I reach you about my refund today?", "Write to the desk, we answer within a day.")
TWICE = example(
    "How do I reach you about my refund today?", "Write to the desk, we answer within a day.", origin=Origin("qa.jsonl", 9)
)
BROKEN = Dropped(Example((), "domain", Origin("qa.jsonl", 7)), "bad_json", "line 7")
QUOTES = [{"text": "takes five days", "start": 9, "end": 24}, {"text": "in an hour", "start": 3, "end": 13}]
KEPT = written("How long does a refund take on a card?", "It takes five days.", chunk=CHUNK.id, quotes=QUOTES)
PHONE = written(
    "Whom do I call at night when a terminal fails?",
    "Call 13812345678 at any hour.",
    source={"id": ASKED.id, "path": "qa.jsonl", "row": 1},
    quotes=[{"text": "within a day"}],
)
REJECTED = written("What colour is the refund button on the page?", "It is green, I think.", chunk=CHUNK.id)


class Builder:
    """Makes runs as the stages leave them; their rows were cleaned once, by the real stage."""

    def __init__(self, template: Path) -> None:
        self.template = template

    def __call__(self, run: Path, until: str = "mix") -> Path:
        shutil.copytree(self.template, run, dirs_exist_ok=True)
        folders = folders_of(run)
        done = STAGES[: STAGES.index(until) + 1]
        for stage in done:
            finish(folders, stage, done)
        return run


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    run = tmp_path_factory.mktemp("template")
    folders = folders_of(run)
    write_rows(folders["collect"] / "examples", EXAMPLE_SCHEMA, map(example_to_row, [ASKED, TWICE]))
    write_rows(folders["collect"] / "dropped", DROPPED_SCHEMA, [dropped_to_row(BROKEN)])
    write_rows(folders["generate"] / "examples", EXAMPLE_SCHEMA, map(example_to_row, [KEPT, PHONE]))
    write_rows(folders["generate"] / "dropped", DROPPED_SCHEMA, [dropped_to_row(Dropped(REJECTED, "name_not_found", "green"))])
    write_rows(folders["generate"] / "chunks", DOCUMENT_SCHEMA, [document_to_row(CHUNK)])
    clean.run(Recipe().part("clean"), folders, folders["clean"])
    write_rows(folders["mix"] / "train", EXAMPLE_SCHEMA, map(example_to_row, [KEPT, ASKED, KEPT]))
    return Builder(run)


def folders_of(run: Path) -> dict[str, Path]:
    return {name: run / f"{number}-{name}" for number, name in enumerate(STAGES, start=1)}


def finish(folders: dict[str, Path], stage: str, done: Sequence[str]) -> None:
    earlier = done[: done.index(stage)]
    inputs = {"model": "m", **{name: f"outputs of {name}" for name in earlier}}
    Manifest(stage, "key", {}, inputs, f"outputs of {stage}", {}, 1.0, {}, 0, 0).write(folders[stage])


def steps(told: Sequence[Step]) -> list[tuple[str, ...]]:
    return [(step.stage, step.outcome, str(step.rows), step.where, step.reason) for step in told]


def test_a_generated_row_from_chunk_to_mixture(build: Builder, tmp_path: Path) -> None:
    told = life(build(tmp_path), KEPT.id)
    assert told.row == KEPT
    assert told.now is None
    assert steps(told.steps) == [
        ("generate", "written", "1", "doc2qa", ""),
        ("clean", "kept", "1", "doc2qa", ""),
        ("mix", "trained on", "2", "doc2qa", ""),
    ]
    assert told.source is not None
    assert (told.source.where, told.source.heading) == ("pages/refunds.md", "Refunds > Timing")
    assert (told.source.start, told.source.end, told.source.text) == (120, 152, CHUNK.text)
    assert told.source.quotes == (Quote("takes five days", 9, 24), Quote("in an hour", None, None))
    assert told.stages == STAGES


def test_a_row_made_from_a_row_and_masked(build: Builder, tmp_path: Path) -> None:
    told = life(build(tmp_path), PHONE.id)
    assert told.row.answer == "Call 13812345678 at any hour."
    assert told.now is not None
    assert told.now[-1] == Message("assistant", "Call [phone] at any hour.")
    assert told.masked == {"phone": 1}
    assert told.source is not None
    assert told.source.where == "qa.jsonl:1"
    assert told.source.text == f"user: {ASKED.question}\nassistant: {ASKED.answer}"
    start = told.source.text.index("within a day")
    assert told.source.quotes == (Quote("within a day", start, start + 12),)
    assert steps(told.steps)[-1] == ("mix", "not drawn", "1", "", "")


def test_a_row_that_a_check_of_the_teacher_rejected(build: Builder, tmp_path: Path) -> None:
    told = life(build(tmp_path), REJECTED.id)
    assert told.steps == (Step("generate", "rejected", 1, "doc2qa", "name_not_found", "green"),)
    assert told.source is not None
    assert told.source.quotes == ()


def test_rows_of_one_id_are_told_apart_by_their_place(build: Builder, tmp_path: Path) -> None:
    told = life(build(tmp_path), ASKED.id)
    assert steps(told.steps) == [
        ("collect", "read", "1", "qa.jsonl:1", ""),
        ("collect", "read", "1", "qa.jsonl:9", ""),
        ("clean", "kept", "1", "qa.jsonl:1", ""),
        ("clean", "dropped", "1", "qa.jsonl:9", "duplicate"),
        ("mix", "trained on", "1", "qa.jsonl:1", ""),
    ]
    assert told.steps[3].detail == "same conversation as qa.jsonl:1"
    assert told.source is None


def test_a_broken_row_has_a_life_too(build: Builder, tmp_path: Path) -> None:
    assert life(build(tmp_path), BROKEN.example.id).steps == (Step("collect", "dropped", 1, "qa.jsonl:7", "bad_json", "line 7"),)


@pytest.mark.parametrize(("until", "stages"), [("generate", 1), ("clean", 2), ("mix", 3)])
def test_a_run_may_end_at_any_stage(build: Builder, tmp_path: Path, until: str, stages: int) -> None:
    told = life(build(tmp_path, until), KEPT.id)
    assert [step.stage for step in told.steps] == list(STAGES[1 : 1 + stages])
    assert told.stages == STAGES[: stages + 1]


def test_stages_whose_input_has_changed_are_not_told(build: Builder, tmp_path: Path) -> None:
    manifest = Manifest.read(build(tmp_path) / "2-generate")
    assert manifest is not None
    replace(manifest, outputs="other rows").write(tmp_path / "2-generate")
    told = life(tmp_path, KEPT.id)
    assert told.stages == ("collect", "generate")
    assert [step.stage for step in told.steps] == ["generate"]


def test_judgements_of_all_reviewers_that_stand(build: Builder, tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "review").mkdir()

    def judge(reviewer: str, *verdicts: str, row: str = KEPT.id) -> None:
        lines = [json.dumps({"id": row, "verdict": verdict, "time": "2026-03-02T10:00:00Z", "note": "hm"}) for verdict in verdicts]
        with (tmp_path / "review" / f"{reviewer}.jsonl").open("a", encoding="utf-8") as handle:
            handle.write("".join(f"{line}\n" for line in lines))

    judge("anna", "accept", "undo", "reject")
    judge("ben", "accept")
    judge("carl", "accept", "undo")
    judge("dora", "accept", row=PHONE.id)
    told = [(one.reviewer, one.verdict, one.note) for one in life(tmp_path, KEPT.id).judgements]
    assert told == [("anna", "reject", "hm"), ("ben", "accept", "hm")]


def test_six_digits_are_enough_where_one_row_has_them(build: Builder, tmp_path: Path) -> None:
    run = build(tmp_path)
    assert life(run, f" {KEPT.id[:6].upper()} ").row.id == KEPT.id
    twin = replace(KEPT, id=KEPT.id[:8] + ("0" if KEPT.id[8] != "0" else "1") * 8)
    write_rows(run / "1-collect" / "examples", EXAMPLE_SCHEMA, [example_to_row(twin)])
    with pytest.raises(DataError) as caught:
        life(run, KEPT.id[:6])
    assert caught.value.what == f"2 ids begin with {KEPT.id[:6]}"
    assert caught.value.where == str(run)
    assert caught.value.hint == f"give more digits: {', '.join(sorted([KEPT.id, twin.id]))}"
    assert life(run, KEPT.id[:9]).row.id == KEPT.id


def test_an_id_that_is_the_beginning_of_another_is_itself(build: Builder, tmp_path: Path) -> None:
    run = build(tmp_path)
    write_rows(run / "1-collect" / "examples", EXAMPLE_SCHEMA, [example_to_row(replace(ASKED, id=KEPT.id[:8]))])
    told = life(run, KEPT.id[:8])
    assert told.row.question == ASKED.question
    assert steps(told.steps) == [("collect", "read", "1", "qa.jsonl:1", "")]


def test_unknown_short_and_homeless_ids(build: Builder, tmp_path: Path) -> None:
    run = build(tmp_path / "run")
    wrong = KEPT.id[:-1] + ("0" if KEPT.id[-1] != "0" else "1")
    for identity, what, where, hint in [
        (wrong, f"no row has the id {wrong}", str(run), f"did you mean {KEPT.id}?"),
        ("zzzzzz", "no row has the id zzzzzz", str(run), "`tunewell data cat RUN/2-generate` prints rows with their ids"),
        ("12345", "'12345' is too short for the id of a row", "", "give its first 6 digits or more"),
    ]:
        with pytest.raises(DataError) as caught:
            life(run, identity)
        assert (caught.value.what, caught.value.where, caught.value.hint) == (what, where, hint)
    with pytest.raises(DataError) as caught:
        life(tmp_path, KEPT.id)
    assert caught.value.what == "no finished stage of a run lies here"
    assert caught.value.hint == "name the folder of a run, such as runs/NAME"


@given(st.text(alphabet="ab五。 ", max_size=30), st.data(), st.integers(0, 1000))
def test_quotes_are_marked_where_they_stand(text: str, data: st.DataObject, offset: int) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for counted_from in (0, offset):
        (quote,) = _placed([{"text": text[start:end], "start": start + counted_from, "end": end + counted_from}], text, offset)
        assert quote.start is not None
        assert text[quote.start : quote.end] == text[start:end]
    # The second of two like passages, counted from the document's beginning.
    (second,) = _placed([{"text": "ab", "start": 103, "end": 105}], "ab ab", 100)
    assert (second.start, second.end) == (3, 5)
    (lost,) = _placed([{"text": "x", "start": 0, "end": 1}], text, offset)
    assert (lost.start, lost.end) == (None, None)


def test_a_large_run_is_read_by_its_ids_alone(tmp_path: Path) -> None:
    rows = [example(f"Question {number}? " + "long " * 60, f"Answer {number}.", id=f"{number:016x}") for number in range(2_000)]
    table = examples_to_table(rows)
    folder = tmp_path / "1-collect"
    with ShardWriter(folder / "examples", EXAMPLE_SCHEMA) as writer:
        for group in range(50):
            ids = pa.array([f"{group:06x}{number:010x}" for number in range(2_000)])
            writer.write_table(table.set_column(0, "id", ids))
    finish({"collect": folder}, "collect", ["collect"])
    begun = time.perf_counter()
    assert life(tmp_path, f"{37:06x}{1999:010x}").row.question.startswith("Question 1999?")
    assert time.perf_counter() - begun < 1
