"""All claims taken together: one verdict, and the reason for it in a few sentences."""

from collections.abc import Sequence

from tunewell.gate.claims import Claim
from tunewell.gate.rules import JUDGE_SCORE
from tunewell.gate.words import Text, claim_names, claim_text, sentence, together

# The gain and what it cost are told with their numbers even when all is well.
_TOLD_IN_FULL = ("domain_gain", "retention")


def overall_reason(claims: Sequence[Claim], *, judged: bool = False) -> Text:
    """The main gain, retention and whatever failed with their numbers; what else is open, passed or unmeasured by name.

    Without a judge (`judged`) nobody expects a claim about its scores.
    """
    if not claims:
        return sentence("nothing")
    told = [claim for claim in claims if claim.name in _TOLD_IN_FULL or claim.verdict == "fail"]
    rest = [claim for claim in claims if claim not in told]
    expected = [name for name in claim_names() if judged or name != JUDGE_SCORE]
    missing = [claim_text(name, "title") for name in expected if name not in {claim.name for claim in claims}]
    failed = [_title(claim) for claim in claims if claim.verdict == "fail"]
    undecided = [_with_needed(claim) for claim in rest if claim.verdict == "inconclusive"]
    passed = [_title(claim) for claim in rest if claim.verdict == "pass"]
    return together(
        [
            *_names("failed", failed),
            *(Text(claim.reason, claim.reason_zh) for claim in told),
            *_names("undecided", undecided),
            *_names("passed", passed),
            *_names("missing", missing),
        ]
    )


def _names(kind: str, names: Sequence[Text]) -> list[Text]:
    if not names:
        return []
    separator = sentence("separator")
    listed = Text(separator.en.join(name.en for name in names), separator.zh.join(name.zh for name in names))
    return [sentence(kind, names=listed)]


def _title(claim: Claim) -> Text:
    return Text(claim.title, claim.title_zh)


def _with_needed(claim: Claim) -> Text:
    return _title(claim) if claim.needed is None else sentence("name_needed", title=_title(claim), needed=claim.needed)
