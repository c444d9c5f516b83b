"""Where the rows come from, and how they are mixed: the tables of sources, of the funnel by source, and of the pools."""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.report.facts import Facts
from tunewell.report.words import Words, number

_SHOWN = 30


class Sources(NamedTuple):
    """The sources the page lists, and how many more there are."""

    shown: tuple[Mapping[str, Any], ...]
    more: int


class Passage(NamedTuple):
    """The way of one source's rows: read, kept by cleaning, dropped by each rule of the table, and trained on.

    `used` counts each row once; it is None where the mixture did not tell.
    """

    name: str
    path: str
    pool: str
    rows: int
    kept: int
    dropped: tuple[int, ...]
    used: int | None


class FunnelTable(NamedTuple):
    """What each rule that dropped anything took from each source: those with most rows, the others together, and all."""

    rules: tuple[str, ...]
    passages: tuple[Passage, ...]
    others: Passage | None
    total: Passage


class PoolRow(NamedTuple):
    """One pool of the mixture, its numbers as they stand in `mixture.json`."""

    pool: str
    shares: tuple[float, ...]
    counts: tuple[int, ...]
    tokens: int | None
    estimated: bool


POOL_COUNTS = ("available", "unique", "repeats", "left_out", "rows")
"""The counts of a `PoolRow`, in their order; `left_out` includes what the caps of sources took."""


def sources(facts: Facts) -> Sources:
    """The sources with most rows, and how many others there are."""
    known = sorted(_read(facts), key=lambda source: -source["rows"])
    return Sources(tuple(known[:_SHOWN]), max(0, len(known) - _SHOWN))


def funnel_table(facts: Facts, words: Words) -> FunnelTable:
    """The funnel by source, those with most rows first; rules that dropped nothing have no column."""
    funnel, folder = facts.funnel, common_folder(facts)
    used = {source["source"]: source["used"] for source in facts.mixture.get("sources", ())}
    rules = tuple(rule["rule"] for rule in funnel["rules"] if rule["dropped"])
    passages = [
        Passage(
            shortened(source["source"], folder),
            source["source"],
            words.label("pool", source["pool"]),
            source["rows"],
            source["kept"],
            tuple(source["dropped"].get(rule, 0) for rule in rules),
            used.get(source["source"], 0) if used else None,
        )
        for source in sorted(funnel["sources"], key=lambda source: -source["rows"])
    ]
    rest = passages[_SHOWN:]
    others = _together(words("sources_others", n=number(len(rest), 0)), rest, len(rules)) if rest else None
    return FunnelTable(rules, tuple(passages[:_SHOWN]), others, _together(words("sources_all"), passages, len(rules)))


def _together(name: str, passages: Sequence[Passage], rules: int) -> Passage:
    dropped = tuple(sum(passage.dropped[rule] for passage in passages) for rule in range(rules))
    rows, kept = (sum(getattr(passage, key) for passage in passages) for key in ("rows", "kept"))
    used = [passage.used for passage in passages if passage.used is not None]
    return Passage(name, "", "", rows, kept, dropped, sum(used) if used else None)


def masked_text(facts: Facts, words: Words) -> str:
    """What was masked, in one sentence; empty where nothing was."""
    kinds = [(kind, n) for kind, n in Counter(facts.funnel.get("masked", {})).most_common() if n]
    listed = words("and").join(words("kind_count", n=number(n, 0), kind=words.label("masked", kind)) for kind, n in kinds)
    return words("masked", kinds=listed) if kinds else ""


def pool_rows(facts: Facts) -> list[PoolRow]:
    """The pools of the mixture. `estimated` says that the tokens of some rows alone were counted."""
    return [
        PoolRow(
            pool["pool"],
            (pool["asked_share"], pool["reached_share"]),
            tuple(pool[key] for key in POOL_COUNTS),
            pool.get("tokens"),
            pool.get("tokens_counted", pool["rows"]) < pool["rows"],
        )
        for pool in facts.mixture["pools"]
    ]


def mixture_notes(facts: Facts, words: Words) -> list[str]:
    """What the table of pools does not say by itself: what the shares count, what was estimated, what caps took."""
    pools = facts.mixture["pools"]
    capped = sum(pool.get("capped_out", 0) for pool in pools)
    estimated = any(row.estimated for row in pool_rows(facts))
    return [
        words("shares_by_tokens" if facts.mixture.get("by") == "tokens" else "shares_by_rows"),
        *([words("tokens_estimated")] if estimated else []),
        *([words("capped_out", n=number(capped, 0))] if capped else []),
    ]


def common_folder(facts: Facts) -> str:
    """The folder in which all sources lie, or an empty string."""
    paths = [source["path"] for source in _read(facts)] + [source["source"] for source in facts.funnel["sources"]]
    folders = [posixpath.dirname(path) for path in paths if posixpath.isabs(path)]
    return posixpath.commonpath(folders) if folders else ""


def shortened(text: str, folder: str) -> str:
    """A path, or a text with paths, without the folder that all sources share.

    >>> shortened("as in /data/support/qa.jsonl:7", "/data")
    'as in support/qa.jsonl:7'
    """
    return text.replace(f"{folder}/", "") if folder.strip("/") else text


def _read(facts: Facts) -> Sequence[Mapping[str, Any]]:
    manifest = facts.manifests.get("collect")
    return manifest.details["sources"] if manifest else ()
