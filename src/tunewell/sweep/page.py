"""The table of a sweep of trials in Markdown, and its cells, which the terminal shows as well."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb
from typing import Any

from tunewell.sweep.advice import p_text, percent
from tunewell.sweep.conclusion import duration, gibibytes, read_trial_words
from tunewell.sweep.markdown import inline, interval_text, number_text, rows_text


def render(table: Mapping[str, Any], language: str) -> str:
    """The page: conclusion, scores, differences, what each trial changes, verdicts in words, and what was not compared."""
    words = read_trial_words(language)
    model = f"`{inline(table['model'])}`"
    blocks = [
        f"# {words['title'].format(sweep=table['sweep'], model=model)}",
        f"**{words['conclusion']}.** {table['conclusion']['text_zh' if language == 'zh' else 'text']}",
        *_scores(table, words),
        "\n".join(f"- {line}" for line in _notes(table, words)),
        *_lists(table, words, reason="reason_zh" if language == "zh" else "reason"),
        *_by_seed(table, words),
    ]
    return "\n\n".join(blocks) + "\n"


def brief_cells(table: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table under the headings `brief`."""
    return [
        [
            row["trial"],
            duration(row["seconds"]),
            gibibytes(row["peak_rss_bytes"]),
            number_text(row["rouge_l"]["value"], 3),
            number_text(row["bleu"]["value"]),
            row["verdict"],
        ]
        for row in table["rows"]
    ]


def gap_cells(table: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table under the headings `gaps`."""
    return [[row["trial"], *_behind(row["behind"]), *_points(row["retention"])] for row in table["rows"]]


def judge_cells(table: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table under the headings `judges`; none where nobody judged."""
    return [[row["trial"], str(row["judge"]["n"]), *_points(row["judge"])] for row in table["rows"] if row["judge"]]


def change_text(changes: Mapping[str, Any]) -> str:
    """What a trial changes, as `--set` takes it.

    >>> change_text({"train.method": "full", "data.ratio": {"open": 1}})
    'train.method=full data.ratio={"open": 1}'
    """
    said = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in changes.values())
    return " ".join(f"{key}={value}" for key, value in zip(changes, said, strict=True))


def _scores(table: Mapping[str, Any], words: Any) -> Iterator[str]:
    if not table["rows"]:
        return
    yield _named(words["scores"], ([row["trial"], *_score_cells(row)] for row in table["rows"]))
    yield f"## {words['differences']}"
    yield _named(words["gaps"], gap_cells(table))
    if judged := judge_cells(table):
        yield f"## {words['judge']}"
        yield _named(words["judges"], judged)


def _named(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of numbers by trial."""
    return rows_text(headings, ([f"`{inline(name)}`", *cells] for name, *cells in rows), left=1)


def _score_cells(row: Mapping[str, Any]) -> list[str]:
    return [
        " + ".join(f"{row['rows'].get(pool, 0):,}" for pool in ("open", "domain")),
        duration(row["seconds"]),
        gibibytes(row["peak_rss_bytes"]),
        *_points(row["rouge_l"]),
        number_text(row["bleu"]["value"]),
        interval_text(row["bleu"]["low"], row["bleu"]["high"]),
        row["verdict"],
    ]


def _behind(gap: Mapping[str, Any] | None) -> list[str]:
    return [*_points(gap), p_text(gap["p"])] if gap else ["–", "–", "–"]


def _points(estimate: Mapping[str, Any]) -> list[str]:
    return [number_text(estimate["value"], 3), interval_text(estimate["low"], estimate["high"], 3)]


def _notes(table: Mapping[str, Any], words: Any) -> Iterator[str]:
    if not table["rows"]:
        return
    yield words["facts"].format(
        n=table["n"],
        slice=words["slice"][table["slice"]],
        families=table["families"],
        seeds=words["and"].join(map(str, table["seeds"])),
        tokens=table["max_new_tokens"],
    )
    rouge, bleu = table["base"]["rouge_l"], table["base"]["bleu"]
    yield words["base"].format(rouge=number_text(rouge["value"], 3), bleu=number_text(bleu["value"]))
    for language, signature in table["signatures"].items():
        yield words["signature"].format(language=language, signature=signature)
    for note in words["notes"]:
        yield note.format(confidence=percent(table["confidence"]), pairs=comb(len(table["rows"]), 2))


def _lists(table: Mapping[str, Any], words: Any, *, reason: str) -> Iterator[str]:
    rows = table["rows"]
    changes = ((row, f"`{inline(change_text(row['changes']))}`" if row["changes"] else words["unchanged"]) for row in rows)
    yield from _section(
        words["changes"], (f"`{inline(row['trial'])}`: {text}{' ' + words['own'] if row['own'] else ''}" for row, text in changes)
    )
    yield from _section(words["verdicts"], (f"`{inline(row['trial'])}`: {row['verdict']}. {row[reason]}" for row in rows))
    died = (f"`{inline(one['trial'])}` (seed {one['seed']}): {' '.join(one['reason'].split())}" for one in table["died"])
    yield from _section(words["not_compared"], died)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    if text := "\n".join(f"- {line}" for line in lines):
        yield f"## {title}"
        yield text


def _by_seed(table: Mapping[str, Any], words: Any) -> Iterator[str]:
    if len(table["seeds"]) > 1 and table["rows"]:
        yield f"## {words['seed_scores']}"
        headings = [words["trial"], *map(str, table["seeds"])]
        scores = ([row["trial"], *(number_text(value, 3) for value in row["by_seed"].values())] for row in table["rows"])
        yield _named(headings, scores)
