"""What the sizes and shapes of the pools promise, and what they do not."""

from array import array
from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from tunewell.collect.findings import Finding, Level
from tunewell.collect.skeletons import commonest_skeleton
from tunewell.collect.survey import PoolFacts
from tunewell.recipe import DataUnit, WhenShort
from tunewell.records import Pool

_Name = TypeVar("_Name", bound=str)

_STYLE_BELOW = 1_000
_FULL_FROM = 1_000_000
_BEST_RATIO = 3.0
_TRIED_RATIOS = (1 / 3, 4.0)
_LEAST_TEST_ITEMS = 30
# Below so many rows a share is a handful of them.
_LEAST_ROWS_FOR_SHARES = 20
_MONOTONY: tuple[tuple[float, Level], ...] = ((0.3, "warning"), (0.1, "info"))
_NEAR = 0.9


class _Suits(NamedTuple):
    """How many domain rows a method is used with, and what is known of it."""

    name: str
    least: int
    most: int
    known: str


# Volumes as they are usual; scores out of 5 and hours of one experiment, 120,000 rows on a model of 7B.
_SUITS: Mapping[str, _Suits] = {
    "full": _Suits(
        "full fine-tuning", _FULL_FROM, 10_000_000, "below a million LoRA does as well (4.51, full 4.46) in 5 h, not 18"
    ),
    "lora": _Suits("LoRA", 100_000, _FULL_FROM, "below a million it does as well as full fine-tuning (4.51, full 4.46)"),
    "qlora": _Suits(
        "QLoRA", 100_000, _FULL_FROM, "it saves memory, hardly time, and costs quality (4.02 in 4.5 h, LoRA 4.51 in 5)"
    ),
}


def about_formats(formats: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """Which files hold rows of several formats; `formats` counts the rows of each by file."""
    for path, counts in formats.items():
        if len(counts) > 1:
            named = ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))
            what = f"holds rows of several formats: {named}"
            yield Finding(path, "mixed_formats", "info", what, "each is read by its own; check a few with `tunewell data inspect`")


def about_ratio(shares: Mapping[Pool, float]) -> Iterator[Finding]:
    """How the ratio that is asked for compares with those that others tried."""
    if not shares["open"]:
        what = "no open rows are asked for: nothing holds the model to what it could do before"
        yield Finding("data.ratio", "ratio", "warning", what, "set data.ratio to `{open: 1, domain: 3}` and name open data")
        return
    ratio = shares["domain"] / shares["open"]
    if ratio == _BEST_RATIO:
        return
    low, high = _TRIED_RATIOS
    place = "within" if low <= ratio <= high else "outside"
    what = f"open {shares['open']:g} : domain {shares['domain']:g} is {place} what is usual, 3:1 to 1:4"
    remedy = (
        "1:3 did best where 1:0.5 to 1:4 were tried (4.66 of 5; 4.56 to 4.61 at the ends, n = 300); the gate tells for your data"
    )
    yield Finding("data.ratio", "ratio", "info", what, remedy)


class _Short(NamedTuple, Generic[_Name]):
    """The one of two things that is too small: how much is asked of it, and how much of the other it suffices for."""

    short: _Name
    other: _Name
    wanted: int
    used: int


def _too_small(there: Mapping[_Name, int], shares: Mapping[_Name, float]) -> _Short[_Name] | None:
    one, two = there
    short, other = (one, two) if there[one] * shares[two] < there[two] * shares[one] else (two, one)
    if not shares[other]:
        return None
    wanted = round(there[other] * shares[short] / shares[other])
    used = round(there[short] * shares[other] / shares[short]) if shares[short] else 0
    return _Short(short, other, wanted, used) if wanted > there[short] else None


def about_pools(
    pools: Mapping[Pool, PoolFacts], shares: Mapping[Pool, float], when_short: WhenShort, *, by: DataUnit
) -> Iterator[Finding]:
    """Whether the pools suffice for the ratio, and what the mix does where they do not.

    A domain pool that is short beside plenty of open rows is the ordinary case, and only an info while the mix takes less.
    """
    if pools["domain"].rows == 0:
        remedy = "name question-answer files under data.domain"
        yield Finding("data.domain", "pool_empty", "warning", "there are no domain rows to train on", remedy)
        return
    there = {pool: facts.rows if by == "rows" else _tokens_in(facts) for pool, facts in pools.items()}
    if any(facts.rows and not there[pool] for pool, facts in pools.items()):
        return  # tokens, and nothing to count them with
    found = _too_small(there, shares)
    if found is None:
        return
    short, other, wanted, used = found
    takes_less = f"takes {used:,} of the {there[other]:,} {other} {by}"
    # Under `fail` every domain row is used, so that only the open pool can be too small.
    on_fail = "stops" if short == "open" else takes_less
    consequence = {"shrink": takes_less, "repeat": f"repeats {short} rows to reach {wanted:,}", "fail": on_fail}[when_short]
    if not there[short]:
        consequence = "stops, unless `generate.replay` writes some"
    asked = f"open {shares['open']:g} : domain {shares['domain']:g} asks for {wanted:,} {short} {by} beside"
    what = f"{asked} {there[other]:,} {other} {by}, and there are {there[short]:,}: the mix {consequence}"
    level: Level = "info" if short == "domain" and when_short != "repeat" else "warning"
    remedy = f"add {short} rows, change data.ratio, or choose data.when_short (counted before replay, caps and cleaning)"
    yield Finding("data.ratio", "pool_short", level, what, remedy)


def about_turns(pools: Mapping[Pool, PoolFacts], shares: Mapping[str, float] | None, when_short: WhenShort) -> Iterator[Finding]:
    """Whether each pool has single-turn and multi-turn rows enough for `data.turns`, if that is set."""
    for pool, facts in pools.items() if shares else ():
        there = {"single": facts.rows - facts.multi, "multi": facts.multi}
        found = _too_small(there, shares or {})
        if found is None:
            continue
        short, other, wanted, used = found
        takes_less = f"takes {used:,} of the {there[other]:,} {other}-turn ones"
        repeats = f"repeats {short}-turn rows to reach {wanted:,}"
        consequence = {"shrink": takes_less, "repeat": repeats, "fail": "stops where that is not enough"}[when_short]
        if not there[short]:
            consequence = "stops"
        what = f"{pool} has {there[short]:,} {short}-turn rows, and data.turns asks for {wanted:,}: the mix {consequence}"
        yield Finding("data.turns", "turns_short", "warning", what, f"add such rows, or change data.turns.{short}")


def about_volume(domain_rows: int, method: str) -> Iterator[Finding]:
    """What this many domain rows can teach by this method."""
    if domain_rows == 0 or method not in _SUITS:
        return
    name, least, most, known = _SUITS[method]
    usual = f"{name} of a field is usual with {least:,} to {most:,}"
    what, remedy = f"{domain_rows:,} domain rows: {usual}", known
    if domain_rows < _STYLE_BELOW:
        what = f"{domain_rows:,} domain rows: below {_STYLE_BELOW:,} a model rather learns style than facts ({usual})"
    if method != "full" and domain_rows < least:
        remedy = "add rows, or generate some from documents; the gate will tell what was learned"
    if method != "full" and domain_rows > most:
        remedy = "full fine-tuning takes in more from here on"
    yield Finding("data.domain", "volume", "info", what, remedy)


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
    """The share of multi-turn rows, and how many questions one skeleton explains."""
    if not facts.rows:
        return
    multi = facts.multi / facts.rows
    what = f"{1 - multi:.0%} of {facts.rows:,} rows are single-turn, {multi:.0%} multi-turn"
    remedy = "let the shares be those of real use; `data.turns` sets them (published field models: 13% to 89% single-turn)"
    yield Finding(f"data.{pool}", "turns", "info", what, remedy)
    if len(facts.questions) < _LEAST_ROWS_FOR_SHARES:
        return
    for least, level in _MONOTONY:
        skeleton = commonest_skeleton(facts.questions, share=least)
        if skeleton and skeleton.questions > least * len(facts.questions):
            share = skeleton.questions / len(facts.questions)
            what = f"one skeleton explains {share:.0%} of the questions: “{skeleton.text}”"
            remedy = "add questions worded in other ways: a model learns the template along with the facts"
            yield Finding(f"data.{pool}", "monotony", level, what, remedy)
            return


def about_lengths(pool: Pool, facts: PoolFacts, context: int) -> Iterator[Finding]:
    """How many rows are longer than `train.context`, which leaves them out of training, and how many come near it."""
    over, near = _above(facts.tokens, context), _above(facts.tokens, int(context * _NEAR))
    near -= over
    if not over + near:
        return
    counted = len(facts.tokens)
    of_all = f"{facts.rows:,} rows" if counted == facts.rows else f"the {counted:,} rows counted (of {facts.rows:,})"
    longest = ", ".join(f"{long.where} ({long.tokens:,})" for long in facts.longest)
    what = (
        f"{over:,} of {of_all} ({over / counted:.1%}) are longer than train.context ({context:,} tokens) and left out of training"
    )
    what += f", {near:,} more come within a tenth of it; the longest: {longest}"
    remedy = "raise train.context, or shorten or split the rows (more context needs more memory)"
    yield Finding(f"data.{pool}", "context", "warning" if over else "info", what, remedy)


def _tokens_in(facts: PoolFacts) -> int:
    return round(sum(facts.tokens) / len(facts.tokens) * facts.rows) if facts.tokens else 0


def _above(tokens: "array[int]", limit: int) -> int:
    return sum(count > limit for count in tokens)
