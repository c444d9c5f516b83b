"""Rows to mix, and one call of the stage."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.engine import Engine, LocalEngine
from tunewell.mix import run
from tunewell.recipe import Data, Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Pool, example_to_row
from tunewell.store import read_examples, write_rows


class Mixed(NamedTuple):
    """What the stage wrote, and what it said."""

    train: list[Example]
    test: list[Example]
    mixture: dict[str, Any]
    counts: dict[str, int]

    def pool(self, name: str) -> dict[str, Any]:
        return next(entry for entry in self.mixture["pools"] if entry["pool"] == name)


def row(number: int, pool: Pool = "domain", *, multi: bool = False, **fields: Any) -> Example:
    messages = (Message("user", f"{pool} question {number}"), Message("assistant", f"answer {number}"))
    more = (Message("user", "And then?"), Message("assistant", "That is all.")) if multi else ()
    return Example((*messages, *more), pool, Origin(f"{pool}.jsonl", number), **fields)


def rows(domain: int, open_: int) -> list[Example]:
    return [*map(row, range(domain)), *(row(number, "open") for number in range(open_))]


def mix(
    folder: Path,
    clean: Sequence[Example],
    test: Sequence[Example] | None = None,
    *,
    seed: int = 0,
    engine: Engine = LocalEngine(1),  # noqa: B008
    **data: Any,
) -> Mixed:
    if not (folder / "clean").exists():
        write_rows(folder / "clean" / "examples", EXAMPLE_SCHEMA, map(example_to_row, clean))
    if test is not None:
        write_rows(folder / "collect" / "test", EXAMPLE_SCHEMA, map(example_to_row, test))
    recipe = Recipe(seed=seed, data=Data(**data)).part("data", "seed")
    inputs = {name: folder / name for name in ("clean", "collect", "model")}
    word_tokenizer(inputs["model"])
    summary = run(recipe, inputs, folder / "mix", engine=engine)
    out = folder / "mix"
    mixture = json.loads((out / "mixture.json").read_text(encoding="utf-8"))
    return Mixed(list(read_examples(out / "train")), list(read_examples(out / "test")), mixture, dict(summary.counts))


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def word_tokenizer(folder: Path) -> Path:
    """A folder with a tokenizer of words that would cut, pad and frame whatever it encodes, unless it is told not to."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[START]": 1, "[PAD]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="[START] $A", special_tokens=[("[START]", 1)])
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(pad_id=2, pad_token="[PAD]", length=16)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
