"""Seed tasks of `self_instruct`: the bundled ones, or the user's own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.bundled import read_jsonl
from tunewell.errors import DataError
from tunewell.text import language as language_of

_HINT = 'each seed task is an object such as {"instruction": "…", "input": "…", "output": "…"} or {"question": "…", "answer": "…"}'


class Seed(NamedTuple):
    """A task written by a person: what is asked, on what, the answer, and where it stands."""

    instruction: str
    input: str
    output: str
    is_classification: bool
    place: str


def bundled_seeds(language: str) -> list[Seed]:
    """The seed tasks that the package has in a language."""
    name = f"{language}.jsonl"
    return [
        Seed(row["instruction"], row["input"], row["output"], row["classification"], f"seeds/{name}:{number}")
        for number, row in enumerate(read_jsonl("generate", "seeds", name), start=1)
    ]


def own_seeds(paths: Sequence[Path], language: str) -> list[Seed]:
    """The user's seed tasks in a language, from files in JSON or JSON Lines.

    Takes `instruction` or `question`, `input`, `output` or `answer`, and the form of self-instruct's own seeds, whose input
    and output stand in `instances`. Raises `DataError`.
    """
    seeds = [seed for path in paths for seed in _read(path)]
    fitting = [seed for seed in seeds if language_of(f"{seed.instruction} {seed.input}") == language]
    if not fitting:
        hint = f"add seed tasks in that language, or leave `{language}` out of generate.languages"
        raise DataError(f"no seed task is written in `{language}`", where=", ".join(map(str, paths)), hint=hint)
    return fitting


def _read(path: Path) -> Iterator[Seed]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "generate.seeds names files in JSON or JSON Lines, in UTF-8"
        raise DataError(f"cannot be read: {error}", where=str(path), hint=hint) from error
    # Published seeds stand as JSON Lines in files named .json as well.
    if text.lstrip().startswith("["):
        rows = list(enumerate(_parsed(text, path, first_line=1), start=1))
    else:
        # Not `splitlines`: it would cut at a line separator inside a text.
        lines = enumerate(text.split("\n"), start=1)
        rows = [(number, _parsed(line, path, first_line=number)) for number, line in lines if line.strip()]
    for number, row in rows:
        yield _seed(row, f"{path}:{number}")


def _parsed(text: str, path: Path, *, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"is not JSON: {error.msg} at column {error.colno}", where=f"{path}:{line}", hint=_HINT) from error


def _seed(row: Any, place: str) -> Seed:
    if not isinstance(row, Mapping):
        raise DataError("is no JSON object", where=place, hint=_HINT)
    instances = row.get("instances")
    first = instances[0] if isinstance(instances, list) and instances and isinstance(instances[0], Mapping) else row
    return Seed(
        instruction=_text(row, ("instruction", "question"), place),
        input=_text(first, ("input",), place, needed=False),
        output=_text(first, ("output", "answer"), place),
        is_classification=bool(row.get("classification") or row.get("is_classification")),
        place=place,
    )


def _text(row: Mapping[str, Any], keys: Sequence[str], place: str, *, needed: bool = True) -> str:
    key = next((key for key in keys if row.get(key)), keys[0])
    text = row.get(key) or ""
    if not isinstance(text, str):
        raise DataError(f"`{key}` is no text", where=place, hint=_HINT)
    if needed and not text.strip():
        raise DataError(f"has no `{'` or `'.join(keys)}`", where=place, hint=_HINT)
    return text.strip()
