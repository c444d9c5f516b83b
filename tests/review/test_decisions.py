"""Decisions on disk: any sequence of judgements, several reviewers, crashes and broken lines."""

import json
import logging
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.errors import DataError, MachineError, UserError
from tunewell.records import Message
from tunewell.store import DecisionLog, Judgement, ReviewFolder, Verdict, decisions, folder_digest, read_decisions, read_judgements

TEXTS = (Message("user", "When?"), Message("assistant", "In two days.\u2028\ud800"))


def judgement(row: str, verdict: Verdict, reviewer: str = "ann", *, time: int = 0, note: str = "") -> Judgement:
    return Judgement(row, verdict, reviewer, f"2026-01-01T00:00:{time:09.6f}+00:00", TEXTS if verdict == "mend" else (), note)


def record(folder: Path, *judgements: Judgement) -> None:
    for one in judgements:
        with DecisionLog(folder, one.reviewer) as log:
            log.record(one)


ROWS, VERDICTS, REVIEWERS = (
    st.sampled_from("abcd"),
    st.sampled_from(["accept", "mend", "reject", "undo"]),
    st.sampled_from(["ann", "bob"]),
)


@settings(max_examples=60, deadline=None)
@given(said=st.lists(st.tuples(ROWS, VERDICTS, REVIEWERS), max_size=12))
def test_the_last_line_of_a_row_counts_and_each_undo_takes_one_back(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, Verdict, str]]
) -> None:
    folder = tmp_path_factory.mktemp("review")
    judgements = [judgement(row, verdict, reviewer, time=number) for number, (row, verdict, reviewer) in enumerate(said)]
    with DecisionLog(folder, "ann") as ann, DecisionLog(folder, "bob") as bob:
        for one in judgements:
            (ann if one.reviewer == "ann" else bob).record(one)
        standing = {"ann": dict(ann.standing), "bob": dict(bob.standing)}
    assert read_judgements(folder) == standing
    last: dict[tuple[str, str], list[Judgement]] = {}
    for one in judgements:
        said_of_row = last.setdefault((one.reviewer, one.id), [])
        if one.verdict != "undo":
            said_of_row.append(one)
        elif said_of_row:
            said_of_row.pop()
    for row in "abcd":
        now = [said_of_row[-1] for key, said_of_row in last.items() if key[1] == row and said_of_row]
        # Of one reject and one mend, or of two that say the same, the sorting leaves the one that counts last.
        now.sort(key=lambda one: (["accept", "mend", "reject"].index(one.verdict), one.time))
        assert read_decisions(folder).get(row) == (now[-1] if now else None)


def test_undo_after_a_second_thought_brings_the_mended_text_back(tmp_path: Path) -> None:
    mended = judgement("a", "mend")
    record(tmp_path, mended, judgement("a", "accept", time=1), judgement("a", "undo", time=2))
    assert read_decisions(tmp_path) == {"a": mended}
    record(tmp_path, judgement("a", "undo", time=3), judgement("a", "undo", time=4))
    assert read_decisions(tmp_path) == {}


def test_a_reject_outweighs_a_mend_and_a_mend_an_acceptance_whoever_comes_first(tmp_path: Path) -> None:
    record(
        tmp_path,
        judgement("a", "reject", "ann", time=1, note="wrong"),
        judgement("a", "mend", "bob", time=2),
        judgement("b", "mend", "ann", time=3),
        judgement("b", "mend", "bob", time=2),
        judgement("b", "accept", "cy", time=4),
    )
    decisions = read_decisions(tmp_path)
    assert (decisions["a"].reviewer, decisions["a"].note) == ("ann", "wrong")
    assert (decisions["b"].reviewer, decisions["b"].messages) == ("ann", TEXTS)


def test_the_order_in_which_rows_were_judged_is_kept(tmp_path: Path) -> None:
    record(tmp_path, judgement("a", "accept"), judgement("b", "accept"), judgement("a", "reject"))
    assert list(read_judgements(tmp_path)["ann"]) == ["b", "a"]


def test_no_folder_holds_no_decision(tmp_path: Path) -> None:
    assert read_decisions(tmp_path / "review") == {}


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_line_that_was_cut_off_is_passed_over_and_then_cut_away(tmp_path: Path, cut: int) -> None:
    record(tmp_path, judgement("a", "accept"), judgement("b", "reject", note="提现"))
    path = tmp_path / "ann.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert set(read_decisions(tmp_path)) == {"a", "b"}
    record(tmp_path, judgement("c", "accept"))
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b", "c"]


def _write_for_ever(folder: Path) -> None:
    with DecisionLog(folder, "ann") as log:
        for number in range(1_000_000):
            log.record(judgement(f"row-{number % 200}", "mend", note="x" * 5000))


@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_kill_9_in_the_middle_loses_no_judgement_that_was_recorded(tmp_path: Path, seconds: float) -> None:
    folder = tmp_path / "review"
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(folder,))
    process.start()
    while not read_decisions(folder):
        time.sleep(0.005)
    time.sleep(seconds)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before = read_decisions(folder)
    record(folder, judgement("after", "accept"))
    assert read_decisions(folder) == {**before, "after": judgement("after", "accept")}


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with DecisionLog(tmp_path, "ann") as log:
        log.record(judgement("a", "accept"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(MachineError) as caught:
                log.record(judgement("b", "accept"))
        assert caught.value.what == "the disk is full"
        assert set(log.standing) == set(read_decisions(tmp_path)) == {"a"}
        log.record(judgement("c", "accept"))
    assert set(read_decisions(tmp_path)) == {"a", "c"}


@contextmanager
def room_in_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a write takes what fits, and the next one fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("room", [0, 1, 17])
def test_of_a_judgement_that_only_fits_in_part_nothing_is_left(tmp_path: Path, room: int) -> None:
    path = tmp_path / "ann.jsonl"
    with DecisionLog(tmp_path, "ann") as log:
        log.record(judgement("a", "accept"))
        before = path.read_bytes()
        with room_in_files(len(before) + room), pytest.raises(OSError, match="File too large"):
            log.record(judgement("b", "reject", note="x" * 100))
        assert path.read_bytes() == before
        assert set(log.standing) == {"a"}
        log.record(judgement("c", "accept"))
    assert path.read_bytes().startswith(before)
    assert set(read_decisions(tmp_path)) == {"a", "c"}


def test_a_disk_that_fills_up_within_a_line_says_so_and_keeps_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def write_a_few(file: int, line: bytes) -> int:
        if len(line) < 40:
            raise OSError(28, "No space left on device")
        return write(file, line[:30])

    with DecisionLog(tmp_path, "ann") as log:
        log.record(judgement("a", "accept"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_a_few)
            with pytest.raises(MachineError) as caught:
                log.record(judgement("b", "accept"))
        assert (caught.value.what, caught.value.where) == ("the disk is full", str(tmp_path / "ann.jsonl"))
        log.record(judgement("c", "accept"))
    assert [json.loads(line)["id"] for line in (tmp_path / "ann.jsonl").read_text().splitlines()] == ["a", "c"]


def test_files_of_no_reviewer_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path, judgement("a", "accept"))
    (tmp_path / "._ann.jsonl").write_bytes(b"\x00\x05\x16\x07\x00\n")
    (tmp_path / "ann (1).jsonl").write_text("no judgement\n")
    (tmp_path / "b\x1b[2Jb.jsonl").write_text("no judgement\n")
    (tmp_path / "cy.jsonl").mkdir()
    with caplog.at_level(logging.WARNING):
        assert list(read_judgements(tmp_path)) == ["ann"]
    passed_over = [f"{tmp_path / name} is passed over: the name of a reviewer's file is NAME.jsonl" for name in (
        "ann (1).jsonl", "b\ufffd[2Jb.jsonl", "cy.jsonl",
    )]  # fmt: skip
    assert caplog.messages == passed_over


def test_a_file_is_read_again_once_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, judgement("a", "accept"), judgement("a", "accept", "bob"))
    read: list[str] = []
    read_lines = decisions._judgements

    def noted(path: Path) -> Iterator[Judgement]:
        read.append(path.stem)
        return read_lines(path)

    monkeypatch.setattr(decisions, "_judgements", noted)
    folder = ReviewFolder(tmp_path)
    assert folder.judgements() == folder.judgements() == read_judgements(tmp_path)
    assert read == ["ann", "bob", "ann", "bob"], "twice by two reads of the one, and once by the other"
    record(tmp_path, judgement("b", "reject", "bob"))
    read.clear()
    assert set(folder.judgements()["bob"]) == {"a", "b"}
    assert read == ["bob"]
    assert list(folder.judgements(without="ann")) == ["bob"]


@pytest.mark.parametrize("name", ["", "../ann", ".ann", "a b", "a/b", "-x", "x" * 65, "a\n"])
def test_a_name_that_makes_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        DecisionLog(tmp_path, name)
    assert caught.value.what == f"{name!r} is no reviewer's name"
    assert caught.value.where == "--reviewer"
    assert caught.value.hint == "letters, digits, `-`, `_` and `.`; it begins with a letter or digit"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ann", "王芳", "a.b-c_9"])
def test_names_in_any_script_are_files(tmp_path: Path, name: str) -> None:
    record(tmp_path, judgement("a", "accept", name))
    assert list(read_judgements(tmp_path)) == [name]


def test_one_reviewer_works_in_one_place_at_a_time(tmp_path: Path) -> None:
    with DecisionLog(tmp_path, "ann"), DecisionLog(tmp_path, "bob"), pytest.raises(MachineError) as caught:
        DecisionLog(tmp_path, "ann")
    assert caught.value.what == "ann is reviewing this run already"
    assert caught.value.where == str(tmp_path)
    with DecisionLog(tmp_path, "ann"):
        pass


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"id": "a"}',
        '{"id": "a", "verdict": "maybe", "time": ""}',
        '{"id": "a", "verdict": "mend", "time": "", "messages": [3]}',
        '{"id": "a", "verdict": "mend", "time": "", "messages": [{"role": "user", "content": 3}]}',
        '{"id": "a", "verdict": "mend", "time": "", "messages": [{"role": 3, "content": "b"}]}',
        '{"id": "a", "verdict": "mend", "time": "", "messages": [{"role": "judge", "content": "b"}]}',
        '{"id": "a", "verdict": "mend", "time": "", "messages": []}',
        '{"id": "a", "verdict": "mend", "time": ""}',
        '{"id": "a", "verdict": "reject", "time": "", "note": null}',
        '{"id": 3, "verdict": "reject", "time": ""}',
        '{"id": "a", "verdict": "reject", "time": 0}',
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    record(tmp_path, judgement("a", "accept"))
    with (tmp_path / "ann.jsonl").open("a") as handle:
        handle.write(line + "\n")
    with pytest.raises(DataError) as caught:
        read_decisions(tmp_path)
    assert caught.value.what == "this line is no judgement of a reviewer"
    assert caught.value.where == f"{tmp_path / 'ann.jsonl'}:2"


def test_opening_the_file_changes_nothing_that_others_depend_on(tmp_path: Path) -> None:
    record(tmp_path, judgement("a", "accept"))
    before = folder_digest(tmp_path)
    with DecisionLog(tmp_path, "ann"):
        assert folder_digest(tmp_path) == before
