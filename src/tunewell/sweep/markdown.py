"""The table of a prompt sweep in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb
from typing import Any

from tunewell.sweep.advice import p_text, percent, read_words


def render(table: Mapping[str, Any], language: str) -> str:
    """The page: advice, scores with intervals, what was not scored, and what the model was given."""
    words = read_words(language)
    model = f"`{inline(table['model'])}`"
    blocks = [
        f"# {words['title'].format(model=model)}",
        f"**{words['advice']}.** {table['advice']['text_zh' if language == 'zh' else 'text']}",
        rows_text(words["scores"], (_row(row, words) for row in table["rows"]), left=2),
        "\n".join(f"- {line}" for line in _notes(table, words)),
        *_not_scored(table, words),
        f"## {words['prompts']}",
        *(f"`{inline(row['format'])}`:\n\n{_indented(row['example'])}" for row in table["rows"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _score_cells(row: Mapping[str, Any]) -> list[str]:
    """One row of the table as text, without the name: BLEU, its interval, the gap with interval and p, and the other numbers."""
    behind = row["behind"] or {}
    return [
        number_text(row["bleu"]),
        interval_text(row["low"], row["high"]),
        number_text(behind.get("difference")),
        interval_text(behind.get("low"), behind.get("high")),
        p_text(behind["p"]) if behind else "–",
        number_text(row["rouge_l"], 3),
        number_text(row["answer_loss"], 3),
        percent(round(row["cut"], 2)),
    ]


def _row(row: Mapping[str, Any], words: Any) -> list[str]:
    return [f"`{inline(row['label'])}`", words["role"][row["role"]], *_score_cells(row)]


def _notes(table: Mapping[str, Any], words: Any) -> Iterator[str]:
    yield words["facts"].format(n=table["n"], families=table["families"], tokens=table["max_new_tokens"], seed=table["seed"])
    for language, signature in table["signatures"].items():
        yield words["signature"].format(language=language, signature=signature)
    if len(table["signatures"]) > 1:
        yield words["mixed"]
    for reason, count in table["left_out"].items():
        yield words["left_out"].format(count=count, reason=reason)
    for note in words["notes"]:
        yield note.format(confidence=percent(table["confidence"]), pairs=comb(len(table["rows"]), 2))


def _not_scored(table: Mapping[str, Any], words: Any) -> list[str]:
    lines = [f"- `{inline(entry['label'])}`: {entry['reason']}" for entry in table["not_scored"]]
    return [f"## {words['not_scored']}", "\n".join(lines)] if lines else []


def rows_text(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """A table whose first `left` columns are text, and whose others are numbers."""
    rule = ["---"] * left + ["--:"] * (len(headings) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows))


def number_text(value: float | None, places: int = 2) -> str:
    """A number, never a negative zero; a dash where it is unknown."""
    return "–" if value is None else f"{round(value, places) + 0.0:.{places}f}"


def interval_text(low: float | None, high: float | None, places: int = 2) -> str:
    """An interval, or a dash where it is unknown."""
    return "–" if low is None or high is None else f"{number_text(low, places)} … {number_text(high, places)}"


def inline(text: str) -> str:
    """A name as it may stand between backticks in a table."""
    return text.replace("`", "'").replace("|", "\\|").replace("\n", " ")


def _indented(text: str) -> str:
    """A block of code, whatever the text holds."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
