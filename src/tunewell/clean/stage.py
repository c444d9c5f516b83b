"""Cleaning: every row is kept, or dropped with a reason that stays on disk."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from tunewell.clean import rules
from tunewell.clean.funnel import KEPT, Source, Tallies, funnel
from tunewell.clean.keys import conversation_key
from tunewell.clean.novelty import NoveltyFilter
from tunewell.clean.rules import RULES, Rule
from tunewell.clean.survey import blocks, contaminated_families, contradictory_questions
from tunewell.recipe import Clean, Recipe
from tunewell.records import DROPPED_SCHEMA, EXAMPLE_SCHEMA, Dropped, Example, Summary, dropped_to_row, example_to_row
from tunewell.store import ShardWriter, read_examples, write_json


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Apply the rules to all collected and generated rows, in their order.

    Args:
        settings: The part `clean` of a recipe.
        inputs: `collect`, a folder with `examples/` and perhaps `test/`; perhaps `generate`, a folder with `examples/`.
        out_dir: Receives `examples/` (kept), `dropped/` (with reason and detail) and `funnel.json`.

    Returns:
        Counts of rows `kept`, `dropped`, and `dropped_<reason>` for each rule.

    Raises:
        DataError: `collect` holds no shards.
    """
    history = _History(settings.clean.novelty)
    own_rules = _own_rules(settings.clean)

    def examples() -> Iterator[Example]:
        return chain.from_iterable(read_examples(folder) for folder in _sources(inputs))

    survivors = (example for example in examples() if _verdict(example, own_rules) is None)
    questions = contradictory_questions(survivors) if settings.clean.contradictions else set()
    families = contaminated_families(examples(), _test_items(inputs)) if settings.clean.contamination else {}
    other_rules = (
        Rule("contamination", partial(rules.contamination, families=families)),
        *([Rule("duplicate", partial(rules.duplicate, kept=history.kept))] if settings.clean.duplicates else []),
        Rule("contradiction", partial(rules.contradiction, questions=questions)),
        Rule("novelty", partial(rules.novelty, rivals=history.rival, threshold=settings.clean.novelty)),
    )
    tallies = _write(_judge(examples(), own_rules, other_rules, history), out_dir)
    result = funnel(tallies, RULES)
    write_json(out_dir / "funnel.json", result)
    dropped = {f"dropped_{rule['rule']}": rule["dropped"] for rule in result["rules"]}
    return Summary({KEPT: result["kept"], "dropped": sum(dropped.values()), **dropped})


class _History:
    """What has been kept so far: whole conversations, and per pool the first questions."""

    def __init__(self, threshold: float) -> None:
        self.kept: dict[int, str] = {}
        self._novelty: defaultdict[str, NoveltyFilter] = defaultdict(partial(NoveltyFilter, threshold))

    def prepare(self, block: Sequence[Example]) -> None:
        for pool in sorted({example.pool for example in block}):
            self._novelty[pool].prepare(example.question for example in block if example.pool == pool)

    def rival(self, example: Example) -> str | None:
        return self._novelty[example.pool].rival(example.question)

    def keep(self, example: Example) -> None:
        name = str(example.origin)
        self.kept[conversation_key(example)] = name
        self._novelty[example.pool].keep(example.question, name)


def _own_rules(clean: Clean) -> tuple[Rule, ...]:
    """The rules that look at one row alone."""
    return (
        Rule("empty", rules.empty),
        Rule("too_short", partial(rules.too_short, min_chars=clean.min_chars)),
        Rule("too_long", partial(rules.too_long, max_chars=clean.max_chars)),
        Rule("language", partial(rules.language, languages=clean.languages)),
        *([Rule("blacklist", rules.blacklist)] if clean.blacklist else []),
        *([Rule("control_tokens", rules.control_tokens)] if clean.control_tokens else []),
    )


def _judge(
    examples: Iterable[Example], own_rules: Sequence[Rule], other_rules: Sequence[Rule], history: _History
) -> Iterator[Example | Dropped]:
    for block in blocks(examples):
        first = [_verdict(example, own_rules) for example in block]
        history.prepare([example for example, dropped in zip(block, first, strict=True) if dropped is None])
        for example, dropped in zip(block, first, strict=True):
            verdict = dropped or _verdict(example, other_rules)
            if verdict is None:
                history.keep(example)
            yield verdict or example


def _verdict(example: Example, applied: Iterable[Rule]) -> Dropped | None:
    details = ((rule.reason, rule.check(example)) for rule in applied)
    return next((Dropped(example, reason, detail) for reason, detail in details if detail is not None), None)


def _write(judged: Iterable[Example | Dropped], out_dir: Path) -> Tallies:
    tallies: defaultdict[Source, Counter[str]] = defaultdict(Counter)
    with ShardWriter(out_dir / "examples", EXAMPLE_SCHEMA) as kept, ShardWriter(out_dir / "dropped", DROPPED_SCHEMA) as dropped:
        for row in judged:
            if isinstance(row, Dropped):
                dropped.write(dropped_to_row(row))
                tallies[Source(row.example.origin.path, row.example.pool)][row.reason] += 1
            else:
                kept.write(example_to_row(row))
                tallies[Source(row.origin.path, row.pool)][KEPT] += 1
    return tallies


def _sources(inputs: Mapping[str, Path]) -> list[Path]:
    return [inputs[name] / "examples" for name in ("collect", "generate") if name in inputs]


def _test_items(inputs: Mapping[str, Path]) -> Iterator[Example]:
    folder = inputs["collect"] / "test"
    return read_examples(folder) if folder.is_dir() else iter(())
