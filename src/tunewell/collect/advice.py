"""What the sizes and shapes of the pools promise, and what they do not."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tunewell.collect.findings import Finding
from tunewell.records import Example, Pool
from tunewell.text import tokens

WhenShort = Literal["shrink", "repeat", "fail"]

# Rules of thumb for LoRA on a field of its own; the gate measures what a run really reached.
_FACTS_FROM = 100_000
_STYLE_BELOW = 1_000
_LEAST_TEST_ITEMS = 30
_MONOTONY = 0.3
# Below this, a share of 30 % is a handful of rows.
_LEAST_ROWS_FOR_SHARES = 20
_SKELETON_TOKENS = 3


class Shares(NamedTuple):
    """The ratio that the recipe asks for, by rows."""

    open: float
    domain: float


@dataclass(slots=True)
class PoolFacts:
    """Counts of one pool: rows, rows in which the user speaks more than once, and the first words of the questions."""

    rows: int = 0
    multi: int = 0
    skeletons: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(self, example: Example) -> None:
        """Take in one row."""
        self.rows += 1
        self.multi += example.turns == "multi"
        self.skeletons[tuple(tokens(example.question[:400])[:_SKELETON_TOKENS])] += 1


def about_ratio(pools: Mapping[Pool, PoolFacts], shares: Shares, when_short: WhenShort) -> Iterator[Finding]:
    """Whether the pools suffice for the ratio, and what the mix does where they do not.

    A domain pool that is short beside plenty of open rows is the ordinary case, and only an info while the mix takes less.
    """
    rows: Mapping[Pool, int] = {"open": pools["open"].rows, "domain": pools["domain"].rows}
    if rows["domain"] == 0:
        remedy = "name question-answer files under data.domain"
        yield Finding("data.domain", "pool_empty", "warning", "there are no domain rows to train on", remedy)
        return
    share: Mapping[Pool, float] = {"open": shares.open, "domain": shares.domain}
    short: Pool = "open" if rows["open"] * shares.domain < rows["domain"] * shares.open else "domain"
    other: Pool = "domain" if short == "open" else "open"
    if not share[other]:
        return
    wanted = round(rows[other] * share[short] / share[other])
    if wanted <= rows[short]:
        return
    used = round(rows[short] * share[other] / share[short])
    takes_less = f"takes {used} of the {rows[other]} {other} rows"
    # Under `fail` every domain row is used, so that only the open pool can be too small.
    on_fail = "stops" if short == "open" else takes_less
    consequence = {"shrink": takes_less, "repeat": f"repeats {short} rows to reach {wanted}", "fail": on_fail}[when_short]
    if rows[short] == 0:
        consequence = "stops, unless `generate.replay` writes some"
    asked = f"open {shares.open:g} : domain {shares.domain:g} asks for {wanted} {short} rows beside {rows[other]} {other} rows"
    what = f"{asked}, and there are {rows[short]}: the mix {consequence}"
    level: Literal["warning", "info"] = "info" if short == "domain" and when_short != "repeat" else "warning"
    remedy = f"add {short} rows, change data.ratio, or choose data.when_short (counted before replay and cleaning)"
    yield Finding("data.ratio", "pool_short", level, what, remedy)


def about_volume(domain_rows: int) -> Iterator[Finding]:
    """What this many domain rows can teach."""
    if 0 < domain_rows < _STYLE_BELOW:
        what = f"{domain_rows} domain rows: below {_STYLE_BELOW:,} a model rather learns style than facts"
    elif 0 < domain_rows < _FACTS_FROM:
        what = f"{domain_rows} domain rows: to take on a field, LoRA wants some {_FACTS_FROM:,}"
    else:
        return
    yield Finding(
        "data.domain", "volume", "info", what, "add rows, or generate some from documents; the gate will tell what was learned"
    )


def about_tests(tasks: Mapping[str, int], *, named: bool, held_out: int) -> Iterator[Finding]:
    """Whether there are enough test items for narrow intervals; `tasks` counts them by slice."""
    small = [f"{count} {task}" for task, count in sorted(tasks.items()) if count < _LEAST_TEST_ITEMS]
    if named and (small or not tasks):
        what = f"few test items ({', '.join(small) or 'none'}; fewer than {_LEAST_TEST_ITEMS}): intervals will be wide"
        yield Finding("data.test", "test_small", "warning", what, "add test items, or expect the verdict `inconclusive`")
    if not named and held_out < _LEAST_TEST_ITEMS:
        what = f"data.test is empty, and data.holdout keeps about {held_out} domain rows for testing: intervals will be wide"
        yield Finding("data.test", "test_small", "warning", what, "write test items, or raise data.holdout")


def about_shape(pool: Pool, facts: PoolFacts) -> Iterator[Finding]:
    """The share of multi-turn rows, and whether most questions begin alike."""
    if not facts.rows:
        return
    multi = facts.multi / facts.rows
    what = f"{1 - multi:.0%} of {facts.rows} rows are single-turn, {multi:.0%} multi-turn"
    yield Finding(f"data.{pool}", "turns", "info", what, "let the shares be those of real use; `data.turns` sets them")
    (skeleton, count), *_ = facts.skeletons.most_common(1)
    share = count / facts.rows
    if facts.rows >= _LEAST_ROWS_FOR_SHARES and share > _MONOTONY:
        what = f"{share:.0%} of {facts.rows} questions begin with “{' '.join(skeleton)}”"
        remedy = "add questions worded in other ways: a model learns the template along with the facts"
        yield Finding(f"data.{pool}", "monotony", "warning", what, remedy)
