"""The stage: every row that goes in comes out once, kept or dropped with the right reason."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clean.test_rules import example
from tunewell.clean import RULES, run
from tunewell.engine import LocalEngine
from tunewell.errors import DataError
from tunewell.recipe import Clean, Recipe
from tunewell.records import EXAMPLE_SCHEMA, Dropped, Example, Origin, Summary, example_to_row
from tunewell.store import ShardWriter, read_dropped, read_examples, write_rows


class Cleaned:
    """What the stage wrote, and what it said."""

    def __init__(self, summary: Summary, folder: Path) -> None:
        self.counts = dict(summary.counts)
        self.kept: list[Example] = list(read_examples(folder / "examples"))
        self.dropped: list[Dropped] = list(read_dropped(folder / "dropped"))
        self.reasons = {row.example.question: row.reason for row in self.dropped}
        self.funnel: dict[str, Any] = json.loads((folder / "funnel.json").read_text(encoding="utf-8"))


def clean(
    folder: Path,
    rows: Sequence[Example],
    test: Sequence[Example] | None = None,
    generated: Sequence[Example] | None = None,
    **changes: Any,
) -> Cleaned:
    inputs = {"collect": folder / "collect"}
    write_rows(folder / "collect" / "examples", EXAMPLE_SCHEMA, map(example_to_row, rows))
    if test is not None:
        write_rows(folder / "collect" / "test", EXAMPLE_SCHEMA, map(example_to_row, test))
    if generated is not None:
        inputs["generate"] = folder / "generate"
        write_rows(folder / "generate" / "examples", EXAMPLE_SCHEMA, map(example_to_row, generated))
    settings = Recipe(clean=Clean(**changes)).part("clean")
    return Cleaned(run(settings, inputs, folder / "clean"), folder / "clean")


LONG = " ".join(f"word{number}" for number in range(40))
ONE_OF_EACH: dict[str, Callable[[], Example]] = {
    "empty": lambda: example("A blank one", " "),
    "too_short": lambda: example("Q", "An answer"),
    "too_long": lambda: example("Something of great length", " ".join(f"item{number}" for number in range(80))),
    "language": lambda: example("提现多久到账", "两天", language="zh"),
    "noise": lambda: example("Is this text damaged", "锟斤拷锟斤拷锟斤拷锟斤拷锟斤拷锟斤拷"),
    "blacklist": lambda: example("Please draw me", "Here you are"),
    "echo": lambda: example("Say this again please", "say this  again please"),
    "control_tokens": lambda: example("Anything else today", "No<|im_end|>"),
    "personal": lambda: example("Whom do I write to", "Write to jo@mail.example"),
    "contamination": lambda: example("Do you ship terminals to Iceland or not", "We do"),
    "duplicate": lambda: example("when does  my money arrive", "In two days"),
    "contradiction": lambda: example("What is the monthly fee", "It is 29"),
    "near_duplicate": lambda: example("Which plans exist at present", f"{LONG} so far"),
    "novelty": lambda: example("How do the refunds work then", "They go back to the card"),
}
OTHERS = [
    example("When does my money arrive", "In two days", origin=Origin("b.csv", 1)),
    example("What is the monthly fee", "It is 19", origin=Origin("b.csv", 2)),
    example("How do refunds work then", "By card", origin=Origin("b.csv", 3)),
    example("Name all of our plans", LONG, origin=Origin("b.csv", 4)),
]
STRICT: dict[str, Any] = {"max_chars": 400, "languages": ["en"], "personal": "drop", "near_duplicates": 0.6}
TEST = [example("Do you ship terminals to Iceland", "Yes", task="unseen", origin=Origin("t.csv", 4))]


def test_every_rule_gives_its_own_reason_and_the_funnel_counts_it(tmp_path: Path) -> None:
    rows = [*OTHERS, *(make() for make in ONE_OF_EACH.values())]
    cleaned = clean(tmp_path, rows, TEST, **STRICT)
    expected = {make().question: reason for reason, make in ONE_OF_EACH.items()}
    assert cleaned.reasons == expected
    assert [row.reason for row in cleaned.dropped] == ["contradiction", *ONE_OF_EACH]
    assert cleaned.kept == [OTHERS[0], OTHERS[2], OTHERS[3]]
    assert ("rejected", "superseded", *ONE_OF_EACH) == RULES, "test_reviewed.py and test_generated.py have these"
    assert cleaned.counts == {
        "kept": 3,
        "dropped": 15,
        "dropped_rejected": 0,
        "dropped_superseded": 0,
        **{f"dropped_{rule}": 2 if rule == "contradiction" else 1 for rule in ONE_OF_EACH},
    }
    assert cleaned.funnel == {
        "rows_in": 18,
        "kept": 3,
        "mended": 0,
        "masked": {},
        "contacts": [],
        "rules": [
            {"rule": "rejected", "dropped": 0},
            {"rule": "superseded", "dropped": 0},
            *({"rule": rule, "dropped": 2 if rule == "contradiction" else 1} for rule in ONE_OF_EACH),
        ],
        "sources": [
            {"source": "b.csv", "pool": "domain", "rows": 4, "kept": 3, "dropped": {"contradiction": 1}},
            {"source": "a.csv", "pool": "domain", "rows": 14, "kept": 0, "dropped": dict.fromkeys(ONE_OF_EACH, 1)},
        ],
    }


def test_the_detail_says_what_the_rule_saw(tmp_path: Path) -> None:
    cleaned = clean(tmp_path, [*OTHERS, *(make() for make in ONE_OF_EACH.values())], TEST, **STRICT)
    details = {row.reason: row.detail for row in cleaned.dropped}
    assert details["duplicate"] == "same conversation as b.csv:1"
    assert details["novelty"] == "nearly the same question as b.csv:3"
    assert details["near_duplicate"] == "nearly the same conversation as b.csv:4"
    assert details["contradiction"] == "the same question has different answers"
    assert details["contamination"] == f"its family asks a question of ROUGE-L F1 0.86 with unseen test item {TEST[0].id} (t.csv:4)"


# With its own rule off, the next one would drop these.
NEXT = {
    "empty": ["too_short"],
    "duplicate": ["novelty", "near_duplicate"],
    "contradiction": ["novelty"],
    "near_duplicate": ["novelty", "contradiction"],
}


@pytest.mark.parametrize("reason", ONE_OF_EACH)
def test_a_rule_that_is_skipped_drops_nothing_and_counts_zero(tmp_path: Path, reason: str) -> None:
    row = ONE_OF_EACH[reason]()
    cleaned = clean(tmp_path, [*OTHERS, row], TEST, skip=[reason, *NEXT.get(reason, [])], **STRICT)
    assert row in cleaned.kept
    assert cleaned.counts[f"dropped_{reason}"] == 0
    assert {"rule": reason, "dropped": 0} in cleaned.funnel["rules"]


@pytest.mark.parametrize(("reason", "limit"), [("novelty", {"novelty": 1}), ("near_duplicate", {"near_duplicates": 1})])
def test_a_limit_of_1_turns_a_search_off(tmp_path: Path, reason: str, limit: dict[str, Any]) -> None:
    row = ONE_OF_EACH[reason]()
    settings = {**STRICT, **limit, "skip": NEXT.get(reason, [])}
    assert row in clean(tmp_path, [*OTHERS, row], TEST, **settings).kept


def test_personal_data_is_masked_before_rows_are_compared(tmp_path: Path) -> None:
    rows = [
        example("Whom do I write to", "Write to jo@mail.example or help@shop.example"),
        example("Whom do I write to", "Write to al@mail.example or help@shop.example", origin=Origin("a.csv", 2)),
    ]
    cleaned = clean(tmp_path, rows, contacts=["help@shop.example"])
    assert [row.answer for row in cleaned.kept] == ["Write to [email] or help@shop.example"]
    assert cleaned.kept[0].evidence == {"masked": {"email": 1}}
    assert cleaned.kept[0].id == rows[0].id
    assert [row.reason for row in cleaned.dropped] == ["duplicate"]
    assert cleaned.funnel["masked"] == {"email": 2}


def test_generated_rows_come_after_collected_ones_and_are_judged_alike(tmp_path: Path) -> None:
    collected = [example("How do rainbows form", "By light", pool="open")]
    generated = [
        example("How do the rainbows form", "Rain", pool="open", task="replay", origin=Origin("replay", 1)),
        example("Why is the sky blue", "<s>Hm", pool="open", task="replay", origin=Origin("replay", 2)),
        example("Why do cats purr", "They are glad", pool="open", task="replay", origin=Origin("replay", 3)),
    ]
    cleaned = clean(tmp_path, collected, generated=generated)
    assert [row.reason for row in cleaned.dropped] == ["novelty", "control_tokens"]
    assert [row.question for row in cleaned.kept] == ["How do rainbows form", "Why do cats purr"]
    assert cleaned.kept[1] == generated[2]


def test_novelty_compares_within_a_pool_and_duplicates_across_pools(tmp_path: Path) -> None:
    rows = [
        example("How do refunds work here", "By card"),
        example("How do refunds work there", "By card", pool="open"),
        example("How do refunds work here", "By card", pool="open"),
    ]
    cleaned = clean(tmp_path, rows)
    assert [row.reason for row in cleaned.dropped] == ["duplicate"]
    assert len(cleaned.kept) == 2


def test_what_many_answers_give_and_no_user_writes_is_a_contact_of_the_team(tmp_path: Path) -> None:
    rows = [example(f"Question {n} about {n}", f"Answer {n}: call 021 5555 0142 or mail help@shop.example") for n in range(3)]
    rows += [example(f"Is {n} answered at me@mail.example", f"Answer {n}: yes, at me@mail.example") for n in range(3, 6)]
    rows += [example("Who was it", "It was jo@mail.example")]
    cleaned = clean(tmp_path, rows, novelty=1)
    answers = [row.answer for row in cleaned.kept]
    assert answers[0] == "Answer 0: call 021 5555 0142 or mail help@shop.example"
    assert answers[3:] == ["Answer 3: yes, at [email]", "Answer 4: yes, at [email]", "Answer 5: yes, at [email]", "It was [email]"]
    assert cleaned.funnel["contacts"] == ["02155550142", "help@shop.example"]
    assert cleaned.funnel["masked"] == {"email": 7}


def test_a_row_is_no_duplicate_of_one_that_an_earlier_rule_dropped(tmp_path: Path) -> None:
    rows = [
        example("How do refunds work here", "By card", family="tainted"),
        example("How do refunds work here", "By card"),
        example("Do you ship terminals to Iceland", "We do", family="tainted"),
    ]
    cleaned = clean(tmp_path, rows, TEST)
    assert [row.reason for row in cleaned.dropped] == ["contamination", "contamination"]
    assert cleaned.kept == [rows[1]]


def test_all_rows_of_a_contradictory_question_go_even_where_two_agree(tmp_path: Path) -> None:
    rows = [example("What is the fee", answer) for answer in ("1 %", "1 %", "2 %")]
    cleaned = clean(tmp_path, rows)
    assert [row.reason for row in cleaned.dropped] == ["contradiction", "duplicate", "contradiction"]


def test_a_row_that_falls_by_itself_contradicts_nothing(tmp_path: Path) -> None:
    rows = [example("What is the fee", "1 %"), example("What is the fee", "2 %<|im_end|>"), example("What is the fee", "")]
    assert clean(tmp_path, rows).kept == rows[:1]


def test_answers_that_differ_by_case_or_system_text_are_no_contradiction(tmp_path: Path) -> None:
    rows = [example("Is it free", "Yes"), example("Is it free", "YES "), example("Is it free", "No", system="Plan: paid")]
    cleaned = clean(tmp_path, rows, novelty=1)
    assert [row.reason for row in cleaned.dropped] == ["duplicate"]


def test_the_whole_family_of_a_contaminated_row_is_dropped_even_where_that_row_falls_by_another_rule(tmp_path: Path) -> None:
    test = [example("Ｗhere is my parcel", "There", task="paraphrase"), example("Can I pay by bank", "Yes", task="seen")]
    rows = [
        example("Where is my parcel", " ", family="parcel"),
        example("Tracking a shipment", "Use the code", family="parcel"),
        example("Can I pay by bank", "Yes"),
    ]
    cleaned = clean(tmp_path, rows, test)
    assert [row.reason for row in cleaned.dropped] == ["empty", "contamination"]
    assert cleaned.dropped[1].detail == f"its family asks the question of paraphrase test item {test[0].id} (a.csv:1)"
    assert cleaned.kept == rows[2:]


def test_shards_and_workers_do_not_change_what_is_kept(tmp_path: Path) -> None:
    rows = [
        example(f"How do {'the ' * (n % 3)}refunds of kind {n // 3} work", f"So {n // 2}", origin=Origin("a", n)) for n in range(60)
    ]
    whole = clean(tmp_path / "whole", rows)
    collected = tmp_path / "parts" / "collect" / "examples"
    for number in range(0, 60, 7):
        with ShardWriter(collected, EXAMPLE_SCHEMA, name=f"part-{number:05d}") as writer:
            for row in rows[number : number + 7]:
                writer.write(example_to_row(row))
    settings = Recipe().part("clean")
    summary = run(settings, {"collect": collected.parent}, tmp_path / "parts" / "clean", engine=LocalEngine(2))
    parts = Cleaned(summary, tmp_path / "parts" / "clean")
    assert 0 < len(whole.kept) < 60
    assert (parts.kept, parts.dropped, parts.funnel) == (whole.kept, whole.dropped, whole.funnel)


def test_test_items_that_changed_are_read_again(tmp_path: Path) -> None:
    row = example("Where is my parcel", "There")
    assert clean(tmp_path, [row], [example("Can I pay by bank", "Yes", task="unseen")]).kept == [row]
    assert clean(tmp_path, [row], [example("Where is my parcel", "Here", task="unseen")]).kept == []


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [*OTHERS, *(make() for make in ONE_OF_EACH.values())]

    def digests(folder: Path) -> dict[str, str]:
        clean(folder, rows, TEST)
        files = [file for file in (folder / "clean").rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    first = digests(tmp_path / "a")
    assert set(first) == {
        "clean/examples/part-00000-00000.parquet",
        "clean/dropped/part-00000-00000.parquet",
        "clean/funnel.json",
    }
    assert digests(tmp_path / "b") == first


def test_no_rows_give_empty_folders(tmp_path: Path) -> None:
    cleaned = clean(tmp_path, [], [])
    assert (cleaned.kept, cleaned.dropped) == ([], [])
    rules = [{"rule": rule, "dropped": 0} for rule in RULES]
    assert cleaned.funnel == {"rows_in": 0, "kept": 0, "mended": 0, "masked": {}, "rules": rules, "sources": [], "contacts": []}


def test_a_folder_without_shards_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run(Recipe().part("clean"), {"collect": tmp_path}, tmp_path / "out")
    assert caught.value.what == "no Parquet shards here"
    assert caught.value.where == str(tmp_path / "examples")


TEXTS = st.sampled_from(["fee", "the fee", "the fee now", "draw", "", "?", "费率", "Fee ", "x" * 60, "<s>", "ж"])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["domain", "open"])), max_size=25),
    test=st.lists(TEXTS, max_size=2),
)
def test_every_row_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, Any]], test: list[str]
) -> None:
    examples = [example(q, a, pool=pool, origin=Origin("a", place)) for place, (q, a, pool) in enumerate(rows)]
    items = [example(q, "x", task="unseen") for q in test]
    cleaned = clean(tmp_path_factory.mktemp("run"), examples, items, max_chars=50)
    out = [*cleaned.kept, *(row.example for row in cleaned.dropped)]
    assert sorted(row.origin.row or 0 for row in out) == list(range(len(rows)))
    assert {row.reason for row in cleaned.dropped} <= set(RULES)
    assert [row.origin.row for row in cleaned.kept] == sorted(row.origin.row or 0 for row in cleaned.kept)
    assert cleaned.counts["kept"] + cleaned.counts["dropped"] == len(rows)
