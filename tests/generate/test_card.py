"""The data card: every number computed again from the account, and hostile rows that stay text."""

import json
import re
from typing import Any, get_args

import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tunewell.generate.card import data_card
from tunewell.recipe import TaskName
from tunewell.records import Example, Message, Origin

HOSTILE = "</code>\n```\n# Bought\n| a | b |\n---\n<script>alert(1)</script> [x](http://a) **b** <|im_end|> {{ 7 * 7 }}"


def task(name: str, **values: Any) -> dict[str, Any]:
    counts = {"asked": 0, "made": 0, "kept": 0, "rejected": {}, "failed": {}, "skipped": {}, "languages": {}}
    spent = {"requests": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost": None}
    return {"task": name, **counts, **spent, **values}


DOC2QA = task(
    "doc2qa",
    asked=200,
    made=260,
    kept=200,
    rejected={"quote_not_found": 31, "known_without_document": 9, "surplus": 20},
    failed={"cut": 3},
    skipped={"no_questions": 12},
    languages={"en": 120, "zh": 80},
    requests=1900,
    cached=100,
    prompt_tokens=1_200_000,
    completion_tokens=98_765,
    cost=0.1234,
)
SUMMARY = task("summary", asked=50, made=40, kept=40, languages={"zh": 38, "": 2}, requests=45, prompt_tokens=9_000, cost=0.01)


def account(*tasks: dict[str, Any], **values: Any) -> dict[str, Any]:
    rest = {"currency": "USD", "cost": 0.1334, "replay": {"rows": 60, "left_out": 4}, "budget_reached": False}
    return {"tasks": tasks, "teacher": {"model": "sage", "server": "http://127.0.0.1:8000/v1"}, **rest, **values}


BOTH = account(DOC2QA, SUMMARY)


def metadata(card: str) -> dict[str, Any]:
    """The front matter, as the hub's own client reads it."""
    known: dict[str, Any] = DatasetCard(card, ignore_metadata_errors=False).data.to_dict()  # type: ignore[no-untyped-call]
    return known


def rendered(card: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(DatasetCard(card, ignore_metadata_errors=False).text))


def cells(card: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, as a reader sees them."""
    html = rendered(card).split(f"<h2>{heading}</h2>")[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in html.split("<tr>")[1:]]
    return [[re.sub("<[^>]+>", "", cell) for cell in row] for row in rows]


def test_front_matter_is_what_the_hub_reads() -> None:
    assert metadata(data_card(BOTH, title="Support: *rows*")) == {
        "pretty_name": "Support: *rows*",
        "language": ["en", "zh"],
        "license": "other",
        "license_name": "see-sources-and-terms-of-the-teacher",
        "size_categories": ["n<1K"],
        "task_categories": ["question-answering", "summarization", "text-generation"],
        "tags": ["synthetic", "tunewell"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "examples/*.parquet"}]}],
    }


@pytest.mark.parametrize(
    ("rows", "size"), [(999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "n>100M")]
)
def test_size_counts_all_rows_of_the_folder(rows: int, size: str) -> None:
    card = data_card(account(DOC2QA, replay={"rows": rows - 200, "left_out": 0}), title="x")
    assert metadata(card)["size_categories"] == [size]


def test_contents() -> None:
    assert cells(data_card(BOTH, title="x"), "What is in it") == [
        ["Task", "Rows", "Asked for", "Languages"],
        ["Questions on documents doc2qa", "200", "200", "en 120, zh 80"],
        ["Summaries summary", "40", "50", "zh 38, undecided 2"],
        ["Base model's own answers replay", "60", "64", ""],
        ["All", "300", "", ""],
    ]


def test_funnel_shares_are_of_the_rows_generated_for_the_task() -> None:
    rows = cells(data_card(BOTH, title="x"), "From generated to kept")
    assert rows[1:] == [
        ["Questions on documents", "generated", "260", f"{100:.1f} %"],
        ["", "Quote not in the text quote_not_found", "−31", f"{100 * 31 / 260:.1f} %"],
        ["", "More than asked for surplus", "−20", f"{100 * 20 / 260:.1f} %"],
        ["", "Known without the text known_without_document", "−9", f"{100 * 9 / 260:.1f} %"],
        ["", "kept", "200", f"{100 * 200 / 260:.1f} %"],
        ["Summaries", "generated", "40", "100.0 %"],
        ["", "kept", "40", "100.0 %"],
    ]


def test_failed_and_skipped_work() -> None:
    assert cells(data_card(BOTH, title="x"), "Failed and skipped")[1:] == [
        ["Questions on documents", "failed", "Answer cut at its longest cut", "3"],
        ["Questions on documents", "skipped", "Gives no question no_questions", "12"],
    ]
    assert "No piece of work failed or was skipped." in data_card(account(SUMMARY), title="x")


def test_money_and_tokens() -> None:
    card = data_card(BOTH, title="x")
    assert cells(card, "What it cost")[1:] == [
        ["Questions on documents", "1,900", "100", "1,200,000", "98,765", "0.1234 USD"],
        ["Summaries", "45", "0", "9,000", "0", "0.0100 USD"],
        ["All", "1,945", "100", "1,209,000", "98,765", "0.1334 USD"],
    ]
    assert "no known price" not in card
    unpriced = data_card(account(DOC2QA | {"cost": None}, cost=None, budget_reached=True), title="x")
    assert cells(unpriced, "What it cost")[-1][-1] == "–"
    assert "Where no cost stands, the model has no known price." in unpriced
    assert "The budget was reached before all rows were made." in unpriced


def test_limits_name_what_was_not_reached_and_whether_a_person_looked() -> None:
    card = data_card(BOTH, title="x")
    assert "- Summaries: 40 of 50 rows that were asked for were kept." in card
    assert "Questions on documents: 200 of 200" not in card
    assert "No person has reviewed a random sample of these rows yet" in card
    rate = {"value": 0.05, "low": 0.0138, "high": 0.123, "wrong": 4.0, "n": 80, "population": 300, "reviewers": 1}
    reviewed = data_card(BOTH | {"review": rate}, title="x")
    assert "A person reviewed 80 of 300 rows drawn at random: 5.0 % are wrong (95 % interval 1.4 % to 12.3 %)." in reviewed
    assert "No person has reviewed" not in reviewed
    together = data_card(BOTH | {"review": rate | {"reviewers": 2}}, title="x")
    assert "2 persons reviewed 80 of 300 rows drawn at random: 5.0 % are wrong, in the mean of their verdicts (95 %" in together
    assert "No person has reviewed" in data_card(BOTH | {"review": None}, title="x")


def test_replay_alone_speaks_of_no_teacher() -> None:
    card = data_card(account(teacher=None, cost=None), title="x")
    assert "60 rows are answers of the base model itself to general prompts." in card
    assert "No teacher took part." in card
    assert "a teacher model wrote" not in card
    assert "From generated to kept" not in card
    assert "language" not in metadata(card)


def example(text: str) -> Example:
    messages = (Message("user", text), Message("assistant", "five days"))
    evidence = {"task": "doc2qa", "quotes": [{"text": text, "start": 0, "end": len(text)}], "verdicts": {"agreement": 0.8}}
    return Example(messages, "domain", Origin("doc2qa"), task="doc2qa", language="en", evidence=evidence)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_texts_change_nothing(language: str) -> None:
    teacher = {"model": HOSTILE, "server": HOSTILE}
    odd = DOC2QA | {"rejected": {HOSTILE: 1}, "failed": {HOSTILE: 1}, "languages": {HOSTILE: 1}}
    plain = DOC2QA | {"rejected": {"x": 1}, "failed": {"x": 1}, "languages": {"x": 1}}
    hostile = data_card(
        account(odd, teacher=teacher, currency=HOSTILE), title=HOSTILE, language=language, examples=[example(HOSTILE)]
    )
    tame = data_card(account(plain), title="x", language=language, examples=[example("x")])

    def skeleton(card: str) -> list[str]:
        return re.findall(r"</?[a-z][a-z0-9]*", re.sub("</?(code|p)>", "", rendered(card)))

    assert skeleton(hostile) == skeleton(tame)
    text = DatasetCard(hostile, ignore_metadata_errors=False).text
    assert "<|im_end|>" not in text
    assert "<script>" not in text
    assert metadata(hostile)["pretty_name"] == " ".join(HOSTILE.split())


@given(st.text(), st.text())
def test_any_row_is_shown_whole_and_ends_where_it_should(text: str, title: str) -> None:
    row = example(text) if text.encode("utf-8", "replace").decode() == text else example("x")
    card = data_card(account(DOC2QA), title=f"x{title}", examples=[row])
    (shown,) = re.findall(r"^```json\n(.*?)\n```$", card, re.DOTALL | re.MULTILINE)
    told = json.loads(shown)
    assert told["id"] == row.id
    assert told["messages"] == [{"role": message.role, "content": message.content} for message in row.messages]
    assert told["evidence"] == row.evidence
    assert card.count("\n## ") == 10
    DatasetCard(card, ignore_metadata_errors=False)


def test_chinese_card() -> None:
    card = data_card(BOTH, title="商户支持", language="zh", examples=[example("提现多久到账？")])
    assert cells(card, "从生成到保留")[2] == ["", "引文不在原文中 quote_not_found", "−31", "11.9 %"]
    assert "- 摘要：要求 50 行，保留了 40 行。" in card
    assert "提现多久到账？" in card
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert len(headings) == 10
    assert all(re.search("[\u4e00-\u9fff]", heading) for heading in headings)


def test_same_account_same_card() -> None:
    assert data_card(BOTH, title="x") == data_card(BOTH, title="x")
    turned = DOC2QA | {"rejected": dict(reversed(DOC2QA["rejected"].items()))}
    assert data_card(account(turned, SUMMARY), title="x") == data_card(BOTH, title="x")


def test_every_task_has_a_place_on_the_card() -> None:
    every = [task(name, asked=1, made=1, kept=1, languages={"en": 1}) for name in get_args(TaskName)]
    for language in ("en", "zh"):
        card = data_card(account(*every), title="x", language=language)
        assert len(re.findall(r"^- \*\*.*\*\* · .{20,}$", card, re.MULTILINE)) == len(every) + 1
