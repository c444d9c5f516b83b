"""What tasks are made from: the collected rows of the domain, and the documents cut into chunks."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tunewell.generate.chunks import chunks
from tunewell.generate.privacy import masked
from tunewell.records import Document, Example
from tunewell.store import count_rows, read_documents, read_examples, short_digest


class Wanted(NamedTuple):
    """The rows that a task begins with: said in words, and for a row the reason for which it is passed over (empty: it is not)."""

    words: str
    misfit: Callable[[Example], str]


class Drawn(NamedTuple):
    """Rows to work on, and how many others were passed over, by reason."""

    rows: list[Example]
    passed_over: Counter[str]


class Material(NamedTuple):
    """The folder that `collect` wrote, the user's own seed tasks, and the seed of every draw.

    `contacts` are the numbers and addresses of the team, which rows may tell; all others in them are masked. None masks nothing.
    """

    collected: Path
    seeds: tuple[Path, ...]
    seed: int
    contacts: frozenset[str] | None = None

    def examples(self, most: int, misfit: Callable[[Example], str] = lambda example: "") -> Drawn:
        """At most so many collected domain rows that fit, in an order that hangs on the seed and each row alone.

        Every row is read, few are held: memory grows with `most`.
        """
        passed_over: Counter[str] = Counter()

        def fits(example: Example) -> bool:
            reason = misfit(example)
            if reason:
                passed_over[reason] += 1
            return not reason

        drawn = heapq.nsmallest(most, filter(fits, self._domain()), key=lambda example: (self._place(example.id), example.id))
        rows = drawn if self.contacts is None else [masked(example, self.contacts) for example in drawn]
        return Drawn(rows, passed_over)

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
        return any(True for _ in self._domain())

    def misfits(self, misfit: Callable[[Example], str]) -> Counter[str]:
        """Why no domain row fits, as a count of reasons; empty where one does, beyond which nothing is read."""
        found: Counter[str] = Counter()
        for example in self._domain():
            reason = misfit(example)
            if not reason:
                return Counter()
            found[reason] += 1
        return found

    def has_documents(self) -> bool:
        """Whether there is any section of a document."""
        return count_rows(self.collected / "documents") > 0

    def languages(self) -> list[str]:
        """The languages of the domain rows and documents that there are prompts for, the commonest first; `en` where none is."""
        examples = (example.language for example in self._domain())
        documents = (document.language for document in read_documents(self.collected / "documents"))
        return [code for code, _ in _prompted(Counter(examples) + Counter(documents))] or ["en"]

    def _domain(self) -> Iterator[Example]:
        return (example for example in read_examples(self.collected / "examples") if example.pool == "domain")

    def _place(self, identity: str) -> int:
        return short_digest(f"{self.seed} {identity}")


def _prompted(counts: Counter[str]) -> Iterable[tuple[str, int]]:
    return ((code, count) for code, count in counts.most_common() if code in {"en", "zh"})
