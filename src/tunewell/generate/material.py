"""What tasks are made from: the collected rows of the domain, and the documents cut into chunks."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tunewell.generate.chunks import chunks
from tunewell.generate.privacy import masked
from tunewell.records import Document, Example
from tunewell.store import count_rows, read_documents, read_examples, short_digest


class Material(NamedTuple):
    """The folder that `collect` wrote, the user's own seed tasks, and the seed of every draw.

    `contacts` are the numbers and addresses of the team, which rows may tell; all others in them are masked. None masks nothing.
    """

    collected: Path
    seeds: tuple[Path, ...]
    seed: int
    contacts: frozenset[str] | None = None

    def examples(self, most: int, fits: Callable[[Example], bool] = lambda example: True) -> list[Example]:
        """At most so many collected domain rows that fit, in an order that hangs on the seed and each row alone.

        Every row is read, few are held: memory grows with `most`.
        """
        rows = (example for example in read_examples(self.collected / "examples") if example.pool == "domain" and fits(example))
        drawn = heapq.nsmallest(most, rows, key=lambda example: (self._place(example.id), example.id))
        return drawn if self.contacts is None else [masked(example, self.contacts) for example in drawn]

    def chunks(self) -> list[Document]:
        """The chunks of all documents, in an order that hangs on the seed and each chunk alone.

        What several documents hold alike, below the same headings, is there once: it would give the same rows again.
        """
        cut = chunks(read_documents(self.collected / "documents"))
        unique: dict[tuple[str, str], Document] = {}
        for chunk in sorted(cut, key=lambda chunk: (self._place(chunk.id), chunk.id)):
            unique.setdefault((chunk.heading, chunk.text), chunk)
        return list(unique.values())

    def has_rows(self) -> bool:
        """Whether there is any domain row."""
        return any(example.pool == "domain" for example in read_examples(self.collected / "examples"))

    def has_documents(self) -> bool:
        """Whether there is any section of a document."""
        return count_rows(self.collected / "documents") > 0

    def languages(self) -> list[str]:
        """The languages of the domain rows and documents that there are prompts for, the commonest first; `en` where none is."""
        examples = (example.language for example in read_examples(self.collected / "examples") if example.pool == "domain")
        documents = (document.language for document in read_documents(self.collected / "documents"))
        return [code for code, _ in _prompted(Counter(examples) + Counter(documents))] or ["en"]

    def _place(self, identity: str) -> int:
        return short_digest(f"{self.seed} {identity}")


def _prompted(counts: Counter[str]) -> Iterable[tuple[str, int]]:
    return ((code, count) for code, count in counts.most_common() if code in {"en", "zh"})
