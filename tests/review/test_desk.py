"""Finding, showing and judging rows, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.review.conftest import ENGLISH, HOSTILE, LOGGED, REFUNDS, grounded, kept_rows
from tests.review.test_decisions import judgement, record
from tunewell.bundled import read_yaml
from tunewell.errors import DataError, UserError
from tunewell.records import EXAMPLE_SCHEMA, example_to_row
from tunewell.review.desk import Desk, Seen, Spoken
from tunewell.review.rows import Filter, read_rows, sampled
from tunewell.review.sources import Sources, Span, segments, span_of
from tunewell.review.words import read_words
from tunewell.store import DecisionLog, ReviewFolder, Verdict, read_decisions, write_rows


@pytest.fixture
def desk(run_folder: Path) -> Iterator[Desk]:
    sources = Sources(run_folder / "2-generate" / "chunks", run_folder / "1-collect" / "examples")
    with DecisionLog(run_folder / "review", "ann") as log:
        yield Desk(read_rows(run_folder / "2-generate"), sources, log, ReviewFolder(run_folder / "review"), read_words("en"))


def judge(desk: Desk, place: int, spoken: Spoken) -> None:
    """Say something of a row as it stands."""
    row = desk.rows.ids[place] if 0 <= place < len(desk.rows) else ""
    standing = desk.log.standing.get(row)
    assert desk.judge(Seen(place, row, standing.time if standing else ""), spoken)


def walk(desk: Desk, wanted: Filter) -> list[dict[str, Any]]:
    """All rows of a filter, one after the other."""
    rows, found = [], desk.find(wanted, "first")
    while found["row"]:
        rows.append(found["row"])
        assert found["number"] == len(rows)
        found = desk.find(wanted, "next", found["row"]["place"])
    return rows


@given(
    text=st.text(alphabet="ab💳提 ", max_size=20),
    quotes=st.lists(st.tuples(st.text(alphabet="ab💳提 ", max_size=4), st.integers(-3, 22), st.integers(-3, 22)), max_size=4),
)
def test_segments_are_the_text_and_cover_each_quote_exactly(text: str, quotes: list[tuple[str, int, int]]) -> None:
    spans = [span_of({"text": words, "start": start, "end": end}, text) for words, start, end in quotes]
    pieces = segments(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    for number, (words, _, _) in enumerate(quotes):
        covered = "".join(piece.text for piece in pieces if number in piece.quotes)
        assert covered == (words if words in text else "")


def test_a_quote_stands_where_it_says_even_where_its_words_stand_before() -> None:
    assert span_of({"text": "ab", "start": 3, "end": 5}, "ab ab") == Span(3, 5)
    assert span_of({"text": "ab", "start": 2, "end": 4}, "ab ab") == Span(0, 2)
    assert span_of({"text": "abc"}, "ab ab") is None


def test_a_row_is_shown_with_its_source_quotes_and_checks(desk: Desk) -> None:
    row = desk.find(Filter(), "first")["row"]
    assert row["task"] == "Document questions"
    assert row["language"] == "English"
    assert row["made"] == ["qwen3-max", "812 tokens", "cost 0.00042"]
    assert {check["name"]: check["kind"] or check["value"] for check in row["checks"]} == {
        "quotes": "passed", "numbers": "passed", "agreement": "0.81",
    }  # fmt: skip
    assert row["source"]["title"] == "docs/payouts.md › Payouts › Refunds"
    (part,) = row["source"]["parts"]
    assert "".join(text for text, _ in part["segments"]) == REFUNDS.text
    assert [text for text, quotes in part["segments"] if 1 in quotes] == ["the fee of the first payment is not returned"]
    assert [quote["found"] for quote in row["quotes"]] == [True, True]
    assert (row["rejection"], row["judgement"]) == (None, None)


def test_a_row_from_a_log_shows_the_conversation_it_came_from(desk: Desk) -> None:
    (row,) = walk(desk, Filter(task="real_qa"))
    assert row["source"]["title"] == "logs/2026-03.csv:41"
    assert [(part["role"], part["segments"]) for part in row["source"]["parts"]] == [
        (message.role, [[message.content, ()]]) for message in LOGGED.messages
    ]
    assert row["checks"] == [{"name": "unsupported", "kind": "", "value": "up to"}]
    assert row["made"] == []


def test_a_source_that_is_gone_is_no_failure_and_its_quotes_are_marked(desk: Desk, run_folder: Path) -> None:
    for path in (run_folder / "2-generate" / "chunks").iterdir():
        path.unlink()
    (run_folder / "2-generate" / "chunks").rmdir()
    row = desk.find(Filter(), "first")["row"]
    assert row["source"] is None
    assert [quote["found"] for quote in row["quotes"]] == [False, False]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Filter(), 27),
        (Filter(outcome="kept"), 24),
        (Filter(outcome="numbers"), 2),
        (Filter(language="zh"), 11),
        (Filter(language="zh", outcome="kept", task="doc2conv"), 1),
        (Filter(text="PARTIAL refund"), 3),
        (Filter(text="<SCRIPT>"), 1),
        (Filter(text="几次"), 1),
        (Filter(text=".*"), 0),
        (Filter(task="summary"), 0),
        (Filter(state="accepted"), 0),
        (Filter(state="unjudged"), 24),
    ],
)
def test_filters(desk: Desk, wanted: Filter, rows: int) -> None:
    assert len(walk(desk, wanted)) == rows
    assert desk.find(wanted, "first")["rows"] == rows


def test_an_id_finds_its_row(desk: Desk) -> None:
    row = kept_rows()[4]
    assert [found["id"] for found in walk(desk, Filter(text=row.id))] == [row.id]


def test_previous_goes_back_the_way_that_next_came(desk: Desk) -> None:
    places = [row["place"] for row in walk(desk, Filter(language="zh"))]
    back = [desk.find(Filter(language="zh"), "previous", place)["row"] for place in places]
    assert back[0] is None
    assert [row["place"] for row in back[1:]] == places[:-1]


def test_open_finds_the_next_unjudged_row_and_begins_anew_at_the_end(desk: Desk) -> None:
    wanted = Filter(language="zh", outcome="kept")
    places = [row["place"] for row in walk(desk, wanted)]
    for place in places[1:]:
        judge(desk, place, Spoken("accept"))
    found = desk.find(wanted, "open", places[3])
    assert found["row"]["place"] == places[0]
    assert (found["judged"], found["of"]) == (len(places) - 1, len(places))
    judge(desk, places[0], Spoken("accept"))
    assert desk.find(wanted, "open")["row"] is None
    assert desk.find(Filter(outcome="numbers"), "open")["row"] is None, "what the checks rejected waits for no one"


def test_a_mended_row_keeps_its_roles_and_shows_its_new_text(desk: Desk, run_folder: Path) -> None:
    (row,) = walk(desk, Filter(task="doc2conv"))
    texts = ["你是客服。", "几点？", "四点。", "之后呢？", "下一个工作日。"]
    judge(desk, row["place"], Spoken("mend", texts, "  shorter "))
    decision = read_decisions(run_folder / "review")[row["id"]]
    assert [(message.role, message.content) for message in decision.messages] == list(
        zip(["system", "user", "assistant", "user", "assistant"], texts, strict=True)
    )
    shown = desk.show(row["place"])["judgement"]
    assert (shown["state"], shown["note"]) == ("mended", "shorter")
    assert [message["text"] for message in shown["messages"]] == texts


@pytest.mark.parametrize(
    ("place", "spoken", "what"),
    [
        (0, Spoken("mend", ["one"]), "1 texts for 2 messages"),
        (0, Spoken("mend", ["one", " \n"]), "a message is empty"),
        (0, Spoken("mend", ENGLISH[0][:2]), "nothing has changed"),
        (24, Spoken("accept"), "this row cannot be judged"),
        (26, Spoken("reject"), "this row cannot be judged"),
    ],
)
def test_what_cannot_be_said_of_a_row_is_refused(desk: Desk, run_folder: Path, place: int, spoken: Spoken, what: str) -> None:
    with pytest.raises(UserError) as caught:
        judge(desk, place, spoken)
    assert caught.value.what == what
    assert read_decisions(run_folder / "review") == {}


def test_what_a_browser_makes_of_line_breaks_is_no_change(tmp_path: Path) -> None:
    row = grounded(REFUNDS, "Does\r\nit?\r", "It\r\ndoes.")
    write_rows(tmp_path / "2-generate" / "examples", EXAMPLE_SCHEMA, [example_to_row(row)])
    with DecisionLog(tmp_path / "review", "ann") as log:
        sources = Sources(tmp_path / "chunks", tmp_path / "rows")
        desk = Desk(read_rows(tmp_path / "2-generate"), sources, log, ReviewFolder(tmp_path / "review"), read_words("en"))
        with pytest.raises(UserError, match="nothing has changed"):
            judge(desk, 0, Spoken("mend", ["Does\nit?\n", "It\ndoes."]))
        judge(desk, 0, Spoken("mend", ["Does\nit?\n", "It\ndoes so."]))
        assert [message.content for message in log.standing[row.id].messages] == ["Does\r\nit?\r", "It\ndoes so."]


def test_a_row_that_stands_otherwise_than_it_was_seen_is_not_judged(desk: Desk, run_folder: Path) -> None:
    first, second = desk.rows.ids[:2]
    judge(desk, 0, Spoken("reject"))
    seen = desk.show(0)["judgement"]["time"]
    for stale in (Seen(0, first, ""), Seen(0, first, "2026"), Seen(0, second, ""), Seen(1, first, seen), Seen(99, first, seen)):
        assert not desk.judge(stale, Spoken("accept"))
    assert not desk.judge(Seen(1, second, seen), Spoken("undo"))
    assert [one.verdict for one in read_decisions(run_folder / "review").values()] == ["reject"]
    assert desk.judge(Seen(0, first, seen), Spoken("accept"))
    assert [one.verdict for one in read_decisions(run_folder / "review").values()] == ["accept"]


def test_the_same_said_twice_is_taken_back_at_once(desk: Desk) -> None:
    judge(desk, 0, Spoken("accept"))
    judge(desk, 0, Spoken("accept"))
    judge(desk, 0, Spoken("undo"))
    assert desk.log.standing == {}


def test_undo_of_an_earlier_row_leaves_the_latest_one_the_latest(desk: Desk) -> None:
    for place in (0, 1, 2):
        judge(desk, place, Spoken("accept"))
    judge(desk, 0, Spoken("reject"))
    judge(desk, 0, Spoken("undo"))
    assert desk.progress()["latest"]["place"] == 2


def test_a_broken_file_of_another_reviewer_stops_nobody(desk: Desk, run_folder: Path) -> None:
    (run_folder / "review" / "bob.jsonl").write_text("{}\n")
    judge(desk, 0, Spoken("accept"))
    (figure,) = desk.progress()["figures"]
    assert "bob.jsonl:1: this line is no judgement" in figure


def test_progress_counts_ones_own_judgements_and_the_filter_counts_its_own(desk: Desk, run_folder: Path) -> None:
    verdicts: list[Verdict] = ["accept", "reject", "accept"]
    for place, verdict in enumerate(verdicts):
        judge(desk, place, Spoken("accept"))
        record(run_folder / "review", judgement(desk.rows.ids[place], verdict, "bob"))
    judge(desk, 0, Spoken("undo"))
    progress = desk.progress()
    assert progress["progress"] == {"rows": 24, "judged": 2, "accepted": 2, "mended": 0, "rejected": 0}
    (agreed,) = progress["figures"]
    assert agreed.startswith("ann and bob agree on 1 of 2: Cohen’s κ 0.00")
    assert desk.show(0)["judgement"] is None, "what bob said is not shown"
    assert progress["latest"] == {"place": 2, "id": desk.rows.ids[2], "judged": desk.log.standing[desk.rows.ids[2]].time}


def test_choices_count_kept_rows_and_name_what_has_none(desk: Desk) -> None:
    choices = desk.setting()["choices"]
    assert [(choice["value"], choice["rows"]) for choice in choices["outcome"]] == [("kept", 24), ("numbers", 2), ("too_short", 1)]
    assert [(choice["value"], choice["rows"]) for choice in choices["task"]] == [("doc2qa", 22), ("doc2conv", 1), ("real_qa", 1)]
    assert [(choice["label"], choice["rows"]) for choice in choices["language"]] == [("English", 15), ("Chinese", 9)]


def test_a_sample_holds_its_rows_alone(run_folder: Path, desk: Desk) -> None:
    sample = sampled(desk.rows, 6, 3)
    drawn = Desk(sample, desk.sources, desk.log, desk.reviews, desk.words)
    assert [row["id"] for row in walk(drawn, Filter())] == sample.ids
    assert drawn.setting()["sample"] == 6
    assert drawn.progress()["figures"] == ["reviewed 0 of 24, error rate not known yet"]


def test_a_conversation_that_was_made_twice_is_judged_once(tmp_path: Path) -> None:
    row = kept_rows()[0]
    write_rows(tmp_path / "examples", EXAMPLE_SCHEMA, [example_to_row(row), example_to_row(row)])
    assert read_rows(tmp_path).ids == [row.id]


def test_a_run_without_generated_rows_says_so(tmp_path: Path) -> None:
    write_rows(tmp_path / "2-generate" / "examples", EXAMPLE_SCHEMA, [])
    for folder in (tmp_path / "2-generate", tmp_path / "nowhere"):
        with pytest.raises(DataError) as caught:
            read_rows(folder)
        assert caught.value.what == "there are no generated rows here"
        assert caught.value.where == str(folder)


def test_hostile_texts_are_handed_on_as_they_are(desk: Desk) -> None:
    (row,) = walk(desk, Filter(text="<script>"))
    assert [message["text"] for message in row["messages"]] == [HOSTILE, HOSTILE]
    (part,) = row["source"]["parts"]
    assert [text for text, quotes in part["segments"] if 0 in quotes] == ["the words after it"]


def test_both_languages_have_the_same_words_with_the_same_gaps() -> None:
    table = read_yaml("review", "words.yaml")
    english, chinese = table["en"], table["zh"]
    own = {key for key in chinese if not key.startswith(("check_", "reason_"))}
    assert own == {key for key in english if not key.startswith(("check_", "reason_"))}
    for key in own:
        gaps = [sorted(part.split("}")[0] for part in words[key].split("{")[1:]) for words in (english, chinese)]
        assert set(gaps[0]) == set(gaps[1]), key
    assert all(isinstance(key, str) and isinstance(word, str) for words in (english, chinese) for key, word in words.items())
