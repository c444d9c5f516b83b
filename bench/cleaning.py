"""One side of the cleaning benchmark: `write`, `ours`, `peer` or `agreement`, each with a FOLDER; prints one JSON line.

The peer's side is datatrove: the same rows through the same rules, in two processes as ours, with its fastest local settings.
"""

import hashlib
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

ROWS, FILES, WORKERS = 100_000, 2, 2
MIN_CHARS, MAX_CHARS = 20, 1_000
BANDS, POSITIONS = 14, 8
THRESHOLD = round((1 / BANDS) ** (1 / POSITIONS), 2)
BLACKLIST = "src/tunewell/assets/clean/blacklist.yaml"


class Conversation(NamedTuple):
    """A question and its answer, and the row that it was made from."""

    question: list[str]
    answer: list[str]
    family: int


def write(folder: Path) -> dict[str, int]:
    """Synthetic conversations in the form of each side: words by Zipf's law, a twentieth repeated, a tenth nearly repeated."""
    source = random.Random(0)
    rows = list(_conversations(source))
    families = [row.family for row in rows]
    (folder / "families.json").write_text(json.dumps(families), encoding="utf-8")
    for side in ("ours", "peer"):
        (folder / side).mkdir()
    for number in range(FILES):
        part = range(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        texts = [(row, " ".join(rows[row].question), " ".join(rows[row].answer)) for row in part]
        name = f"{number:05d}.jsonl"
        _write_lines(folder / "ours" / name, ({"instruction": question, "output": answer} for _, question, answer in texts))
        _write_lines(folder / "peer" / name, ({"text": f"{question}\n{answer}", "id": str(row)} for row, question, answer in texts))
    return {"rows": ROWS}


def ours(folder: Path) -> dict[str, Any]:
    """The stages `collect` and `clean`."""
    from tunewell import clean, collect
    from tunewell.clean import RULES
    from tunewell.engine import LocalEngine
    from tunewell.recipe import Recipe
    from tunewell.store import read_dropped, read_examples

    applied = ("too_short", "too_long", "blacklist", "duplicate", "near_duplicate")
    settings = {
        "skip": [rule for rule in RULES if rule not in applied],
        "min_chars": MIN_CHARS,
        "max_chars": MAX_CHARS,
        "near_duplicates": THRESHOLD,
    }
    recipe = Recipe.model_validate({"data": {"open": [str(folder / "ours")]}, "clean": settings})
    out = {name: folder / f"ours-{name}" for name in ("collect", "clean")}
    for path in out.values():
        path.mkdir()
    engine = LocalEngine(WORKERS)
    start = time.perf_counter()
    collect.run(recipe.part("data", "collect"), {}, out["collect"], engine=engine)
    clean.run(recipe.part("clean"), {"collect": out["collect"]}, out["clean"], engine=engine)
    seconds = time.perf_counter() - start
    kept = list(read_examples(out["clean"] / "examples"))
    near = [row.example for row in read_dropped(out["clean"] / "dropped") if row.reason == "near_duplicate"]
    return _result(folder, "ours", seconds, unique=list(map(_text, [*kept, *near])), kept=list(map(_text, kept)))


def peer(folder: Path) -> dict[str, Any]:
    """The blocks of datatrove, one executor after the other. Unlike ours, they do not write the dropped rows."""
    from loguru import logger  # type: ignore[import-not-found]  # lives in the peers' environment

    logger.remove()
    start = time.perf_counter()
    for number, (blocks, tasks) in enumerate(_peer_pipelines(folder)):
        _execute(blocks, tasks, folder / f"log-{number}")
    seconds = time.perf_counter() - start
    unique, kept = (_texts(folder / f"peer-{name}") for name in ("unique", "kept"))
    return _result(folder, "peer", seconds, unique=unique, kept=kept)


def agreement(folder: Path) -> dict[str, float]:
    """Of the rows that have near repeats: the share of which, with their repeats, both sides keep equally many.

    Which of the near rows stays may differ: ours is the first, datatrove's the one that its union of clusters ends with. `ours` and
    `peer` are the shares of which a side keeps as many as are left when the true similarity of each pair decides.
    """
    families = json.loads((folder / "families.json").read_text(encoding="utf-8"))
    sides = [json.loads((folder / f"{side}-texts.json").read_text(encoding="utf-8")) for side in ("ours", "peer")]
    unique, *kept = (set(texts) for texts in (sides[0]["unique"], sides[0]["kept"], sides[1]["kept"]))
    repeats: dict[int, list[str]] = {}
    for text, family in dict(zip(_texts(folder / "peer"), families, strict=True)).items():
        if text in unique:
            repeats.setdefault(family, []).append(text)
    groups = [texts for texts in repeats.values() if len(texts) > 1]
    ours, peer = ([len(side.intersection(texts)) for texts in groups] for side in kept)
    true = list(map(_truly_kept, groups))
    return {
        "families": len(groups),
        "agreement": _share_equal(ours, peer),
        "ours": _share_equal(ours, true),
        "peer": _share_equal(peer, true),
    }


def _conversations(source: random.Random) -> Iterator[Conversation]:
    vocabulary = _vocabulary(source)
    weights = list(accumulate(1 / (rank + 5) for rank in range(len(vocabulary))))
    earlier: list[Conversation] = []
    for number in range(ROWS):
        kind = source.random()
        if earlier and kind < 0.15:
            row = source.choice(earlier)
            if kind > 0.05:
                row = row._replace(answer=_changed(row.answer, source, vocabulary))
        else:
            lengths = source.randint(8, 20), source.randint(52, 130)
            question, answer = (source.choices(vocabulary, cum_weights=weights, k=length) for length in lengths)
            row = Conversation(question, answer, number)
            if kind > 0.98:
                row = row._replace(answer=row.answer[:2])
            elif kind > 0.96:
                row.question.insert(3, source.choice(["photo", "diagram", "video"]))
            elif kind > 0.95:
                row = row._replace(answer=row.answer * 3)
        earlier.append(row)
        yield row


def _changed(answer: Sequence[str], source: random.Random, vocabulary: Sequence[str]) -> list[str]:
    """One to three words replaced."""
    changed = list(answer)
    for _ in range(source.randint(1, 3)):
        changed[source.randrange(len(changed))] = source.choice(vocabulary)
    return changed


def _vocabulary(source: random.Random) -> list[str]:
    """Words of letters only: datatrove takes all numbers for the same one."""
    syllables = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = {"".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(30_000)}
    return source.sample(sorted(words), len(words))


def _peer_pipelines(folder: Path) -> Iterator[tuple[list[Any], int]]:
    """The blocks of each executor and how many tasks they are run in."""
    from datatrove.pipeline.dedup import (  # type: ignore[import-not-found]
        ExactDedupFilter,
        ExactDedupSignature,
        ExactFindDedups,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig  # type: ignore[import-not-found]
    from datatrove.pipeline.dedup.minhash import MinhashConfig  # type: ignore[import-not-found]
    from datatrove.pipeline.filters import LambdaFilter, RegexFilter  # type: ignore[import-not-found]
    from datatrove.pipeline.readers import JsonlReader  # type: ignore[import-not-found]
    from datatrove.pipeline.writers import JsonlWriter  # type: ignore[import-not-found]

    def place(name: str) -> str:
        return str(folder / f"peer-{name}")

    def writer(name: str) -> Any:
        return JsonlWriter(place(name), compression=None)

    def reader(name: str) -> Any:
        return JsonlReader(place(name))

    exact = ExactDedupConfig(content_getter=_content)
    near = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=POSITIONS)
    filters = [LambdaFilter(_has_right_length), RegexFilter(_blacklist())]
    signatures = MinhashDedupSignature(place("signatures"), config=near, language=_words())
    buckets = MinhashDedupBuckets(place("signatures"), place("pairs"), config=near, lines_to_buffer=-1)
    cluster = MinhashDedupCluster(place("pairs"), place("clusters"), config=near, lines_to_buffer=-1)
    yield [JsonlReader(str(folder / "peer")), *filters, writer("filtered"), ExactDedupSignature(place("hashes"), exact)], FILES
    yield [ExactFindDedups(place("hashes"), place("repeats"), exact, lines_to_buffer=-1)], 1
    yield [reader("filtered"), ExactDedupFilter(place("repeats"), exact), writer("unique"), signatures], FILES
    yield [buckets], BANDS
    yield [cluster], 1
    yield [reader("unique"), MinhashDedupFilter(place("clusters")), writer("kept")], FILES


def _execute(blocks: list[Any], tasks: int, log: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor  # type: ignore[import-not-found]

    # A fork starts at once, where the default start imports datatrove anew in every worker.
    workers = min(tasks, WORKERS)
    LocalPipelineExecutor(blocks, tasks=tasks, workers=workers, logging_dir=str(log), start_method="fork").run()


def _words() -> Any:
    """A tokeniser that splits at spaces, in place of spaCy, which datatrove takes for English: these rows are nothing but words."""
    from datatrove.utils.word_tokenizers import WordTokenizer  # type: ignore[import-not-found]

    class Words(WordTokenizer):  # type: ignore[misc]
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        sent_tokenize = span_tokenize = word_tokenize

    return Words()


def _text(row: Any) -> str:
    return f"{row.question}\n{row.answer}"


def _content(document: Any) -> str:
    return str(document.text)


def _has_right_length(document: Any) -> bool:
    return all(MIN_CHARS <= len(text) <= MAX_CHARS for text in document.text.split("\n"))


def _blacklist() -> str:
    import yaml

    words = yaml.safe_load(Path(BLACKLIST).read_text(encoding="utf-8"))["en"]["words"]
    return rf"(?i)\b(?:{'|'.join(words)})\b"


def _result(folder: Path, side: str, seconds: float, *, unique: Sequence[str], kept: Sequence[str]) -> dict[str, Any]:
    """The hash is of the rows that all rules but that for near duplicates keep: it must be the same on both sides."""
    (folder / f"{side}-texts.json").write_text(json.dumps({"unique": unique, "kept": kept}), encoding="utf-8")
    digest = hashlib.sha256("\0".join(sorted(unique)).encode()).hexdigest()[:16]
    return {
        "rows": ROWS,
        "kept": len(kept),
        "unique": len(unique),
        "unique_hash": digest,
        "seconds": seconds,
        "rows_per_second": ROWS / seconds,
    }


def _truly_kept(texts: Sequence[str]) -> int:
    kept: list[set[tuple[str, ...]]] = []
    for text in texts:
        words = text.split()
        pieces = {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
        if all(len(pieces & other) < THRESHOLD * len(pieces | other) for other in kept):
            kept.append(pieces)
    return len(kept)


def _share_equal(left: Sequence[int], right: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(left, right, strict=True)) / len(left)


def _texts(folder: Path) -> list[str]:
    lines = (line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    return [json.loads(line)["text"] for line in lines]


def _write_lines(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    side = {"write": write, "ours": ours, "peer": peer, "agreement": agreement}[sys.argv[1]]
    sys.stdout.write(json.dumps(side(Path(sys.argv[2]))) + "\n")
