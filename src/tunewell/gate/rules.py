"""What the gate claims, as one table: which numbers, compared how, within which margin."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tunewell.gate.series import Item, Series, drops, fresh, gaps, values
from tunewell.stats import Comparison, paired, paired_shares

Better = Literal["higher", "lower"]
Kind = Literal["superiority", "non-inferiority"]


JUDGE_SCORE = "judge_score"
"""The measure that only judged items have, and the name of the claim about it."""


class Margin(NamedTuple):
    """The largest loss that passes: a key of the recipe's section `gate`, taken as it is or as a share of the base value."""

    key: str
    relative: bool


class Rule(NamedTuple):
    """One claim. Without a margin it claims a gain (superiority), with one that nothing beyond it is lost (non-inferiority).

    `symptom` is the sign of forgetting that the claim looks for, 1 to 4, or 0 for the domain gain and retention. `series`
    draws the numbers called `measure` from the items of `probe`; `interval` compares them. `also` names a second measure that
    is shown and not judged. Of a `partial` rule some items, or all, may lack the measure: they are left out.
    """

    name: str
    symptom: int
    probe: str
    measure: str
    better: Better
    series: Callable[[Sequence[Item], str], Series]
    interval: Callable[..., Comparison]
    margin: Margin | None = None
    also: str = ""
    partial: bool = False

    @property
    def kind(self) -> Kind:
        """Whether a gain or the absence of a loss is claimed."""
        return "superiority" if self.margin is None else "non-inferiority"

    def measured(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items that this rule is about."""
        if not self.partial:
            return items
        return [item for item in items if self.measure in item.base and self.measure in item.tuned]

    def compare(self, series: Series, *, confidence: float) -> Comparison:
        """The paired comparison of a series by this rule's interval."""
        return self.interval(series.base, series.tuned, series.clusters, confidence=confidence)

    def limit(self, base: float | None, margins: Mapping[str, float]) -> float | None:
        """The largest loss that passes, in the unit of the measure; None where the rule has no margin or the base is unknown."""
        if self.margin is None or base is None:
            return None
        return margins[self.margin.key] * (base if self.margin.relative else 1.0)


RULES = (
    Rule("domain_gain", 0, "domain", "rouge_l", "higher", fresh, paired),
    Rule("domain_loss", 0, "domain", "answer_loss", "lower", fresh, paired),
    Rule("judge_score", 0, "domain", JUDGE_SCORE, "higher", fresh, paired, partial=True),
    Rule("retention", 0, "retention", "probability", "higher", values, paired, Margin("retention", relative=True), also="correct"),
    Rule("brittleness", 1, "brittleness", "rouge_l", "lower", drops, paired, Margin("brittleness", relative=False)),
    Rule("constraints", 2, "constraints", "followed", "higher", values, paired_shares, Margin("constraints", relative=True)),
    Rule("leakage", 3, "leakage", "leak", "lower", values, paired_shares, Margin("leakage", relative=False)),
    Rule("gap", 4, "domain", "rouge_l", "lower", gaps, paired, Margin("gap", relative=False)),
)
