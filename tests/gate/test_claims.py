"""Each claim against numbers worked out by hand, the three verdicts, and the corners that allow none."""

import math
from collections.abc import Mapping, Sequence

import pytest
from scipy import stats as scipy_stats

from tunewell.gate.claims import Claim, claims_of
from tunewell.gate.series import Item
from tunewell.gate.verdict import overall_reason

MARGINS = {"retention": 0.05, "brittleness": 0.05, "constraints": 0.1, "leakage": 0.05, "gap": 0.2}


def item(variant: str, index: int, base: Mapping[str, float], tuned: Mapping[str, float]) -> Item:
    return Item(variant, f"item {index}", f"family {index}", base, tuned)


def one_measure(variant: str, name: str, pairs: Sequence[tuple[float, float]]) -> list[Item]:
    return [item(variant, index, {name: base}, {name: tuned}) for index, (base, tuned) in enumerate(pairs)]


def domain(variant: str, pairs: Sequence[tuple[float, float]], losses: Sequence[tuple[float, float]] | None = None) -> list[Item]:
    losses = losses or [(2.0, 1.5 + 0.1 * (index % 2)) for index in range(len(pairs))]
    return [
        item(variant, index, {"rouge_l": base, "answer_loss": before}, {"rouge_l": tuned, "answer_loss": after})
        for index, ((base, tuned), (before, after)) in enumerate(zip(pairs, losses, strict=True))
    ]


def claim(name: str, probe: str, items: Sequence[Item], *, margins: Mapping[str, float] = MARGINS) -> Claim:
    found = [claim for claim in claims_of({probe: items}, margins=margins, confidence=0.95) if claim.name == name]
    assert len(found) == 1
    return found[0]


def t_half_width(differences: Sequence[float]) -> float:
    n = len(differences)
    centre = sum(differences) / n
    spread = math.sqrt(sum((value - centre) ** 2 for value in differences) / (n - 1) / n)
    return float(scipy_stats.t.ppf(0.975, n - 1)) * spread


def test_domain_gain() -> None:
    # Differences 0.2 and 0.4 in turn: mean 0.3, sd 0.1054, SE 0.0333; t(9) = 2.2622.
    found = claim("domain_gain", "domain", domain("paraphrase", [(0.1, 0.3), (0.2, 0.6)] * 5))
    assert (found.n, found.clusters, found.kind, found.better, found.symptom) == (10, 10, "superiority", "higher", 0)
    assert [found.base, found.tuned, found.difference] == pytest.approx([0.15, 0.45, 0.3])
    assert [found.low, found.high] == pytest.approx([0.3 - 0.075405, 0.3 + 0.075405], abs=1e-6)
    assert (found.verdict, found.margin, found.margin_text, found.needed, found.advice) == ("pass", None, "", None, "")
    assert found.reason == (
        "Answers to paraphrased training questions improved by 0.300 ROUGE-L (95 % interval 0.225 to 0.375, n = 10)."
    )
    assert found.reason_zh == "对训练问题改写的回答改善了 0.300 ROUGE-L（95% 区间 0.225 到 0.375，n = 10）。"
    # 80 % power: (2.2622 + 0.8834) standard errors.
    assert found.detectable == pytest.approx((2.262157 + 0.883404) * 0.1 / 3, rel=1e-4)


def test_domain_gain_falls_back_on_unseen_questions_and_says_so() -> None:
    found = claim("domain_gain", "domain", domain("unseen", [(0.6, 0.3), (0.6, 0.2)] * 5))
    assert (found.variant, found.verdict) == ("unseen", "fail")
    assert found.reason.startswith(
        "Answers to unseen questions (there are no paraphrases) got worse by 0.350 ROUGE-L (95 % interval 0."
    )
    assert found.advice.startswith("See in the loss curve")


def test_domain_gain_that_may_be_chance() -> None:
    found = claim("domain_gain", "domain", domain("paraphrase", [(0.5, 0.7), (0.5, 0.4)] * 6))
    half = t_half_width([0.2, -0.1] * 6)
    assert (found.verdict, found.needed) == ("inconclusive", math.ceil(12 * (half / 0.05) ** 2))
    assert found.reason == (
        f"Answers to paraphrased training questions changed by +0.050 ROUGE-L (95 % interval -{half - 0.05:.3f} to "
        f"+{half + 0.05:.3f}, n = 12), which cannot be told from no change. About {found.needed} items would settle it."
    )
    assert found.advice.startswith("Add test items under `data.test`")


def test_domain_loss() -> None:
    losses = [(2.0, 1.4), (2.0, 1.6)] * 5
    found = claim("domain_loss", "domain", domain("paraphrase", [(0.1, 0.2)] * 10, losses))
    assert [found.base, found.tuned, found.difference] == pytest.approx([2.0, 1.5, -0.5])
    assert [found.low, found.high] == pytest.approx([-0.5 - 0.075405, -0.5 + 0.075405], abs=1e-6)
    assert (found.verdict, found.better, found.unit) == ("pass", "lower", "nats per token")
    assert found.reason == (
        "The answer loss on paraphrased training questions improved by 0.500 nats per token (95 % interval 0.425 to 0.575, n = 10)."
    )
    worse = claim("domain_loss", "domain", domain("paraphrase", [(0.1, 0.2)] * 10, [(after, before) for before, after in losses]))
    assert worse.verdict == "fail"


def _retention(pairs: Sequence[tuple[float, float]]) -> list[Item]:
    return [
        item(
            "logic" if index % 2 else "facts", index, {"probability": b, "correct": b > 0.5}, {"probability": t, "correct": t > 0.5}
        )
        for index, (b, t) in enumerate(pairs)
    ]


def test_retention_within_its_relative_margin() -> None:
    found = claim("retention", "retention", _retention([(0.4, 0.39), (0.6, 0.594)] * 10))
    assert [found.base, found.tuned, found.difference, found.margin] == pytest.approx([0.5, 0.492, -0.008, 0.025])
    assert (found.verdict, found.kind, found.margin_text) == ("pass", "non-inferiority", "5 % of the base value")
    half = t_half_width([-0.01, -0.006] * 10)
    assert [found.low, found.high] == pytest.approx([-0.008 - half, -0.008 + half])
    assert [(part.variant, part.n) for part in found.by] == [("facts", 10), ("logic", 10)]
    assert [part.base for part in found.by] == pytest.approx([0.4, 0.6])
    assert [(part.variant, part.n, part.base) for part in found.also] == [("all", 20, 0.5), ("facts", 10, 0.0), ("logic", 10, 1.0)]
    assert found.reason.startswith(
        "Retention: kept. The probability of the right choice went from 0.500 to 0.492 "
        "(-0.008; 95 % interval -0.009 to -0.007, n = 20), within the margin of 5 % of the base value."
    )


@pytest.mark.parametrize(("lost", "verdict"), [(0.01, "pass"), (0.024, "inconclusive"), (0.026, "inconclusive"), (0.04, "fail")])
def test_retention_around_its_margin(lost: float, verdict: str) -> None:
    # Base mean 0.5, so 0.025 may go; the half width is 0.0097.
    pairs = [(0.5, 0.5 - lost - 0.02), (0.5, 0.5 - lost + 0.02)] * 10
    found = claim("retention", "retention", _retention(pairs))
    assert found.verdict == verdict
    assert (found.needed is not None) == (verdict == "inconclusive")
    if found.needed is not None:
        assert found.needed == math.ceil(round(20 * (t_half_width([-0.02, 0.02] * 10) / 0.001) ** 2, 6))
        assert f"About {found.needed} items would settle it." in found.reason


def test_a_loss_that_sits_on_the_margin_cannot_be_settled() -> None:
    pairs = [(0.5, 0.5 - 0.025 - 0.125), (0.5, 0.5 - 0.025 + 0.125)] * 10
    found = claim("retention", "retention", _retention(pairs))
    assert (found.verdict, found.needed) == ("inconclusive", None)
    assert found.reason.endswith("At this difference no practical number of items would settle it.")
    assert found.reason_zh.endswith("差值停在此处时，再多的题也无法定论。")


def _shells(drops: Sequence[tuple[float, float]]) -> list[Item]:
    """Questions that score 0.8 under the plain shell; the two others lose a little less and a little more than the drop."""
    items = []
    for index, (base, tuned) in enumerate(drops):
        items.append(item("plain", index, {"rouge_l": 0.8}, {"rouge_l": 0.8}))
        items.append(item("letter", index, {"rouge_l": 0.8 - base - 0.1}, {"rouge_l": 0.8 - tuned - 0.1}))
        items.append(item("json", index, {"rouge_l": 0.8 - base + 0.1}, {"rouge_l": 0.8 - tuned + 0.1}))
    return items


def test_brittleness_compares_drops_of_questions() -> None:
    found = claim("brittleness", "brittleness", _shells([(0.1, 0.28), (0.1, 0.32)] * 6))
    assert (found.n, found.clusters, found.symptom, found.better) == (12, 12, 1, "lower")
    assert [found.base, found.tuned, found.difference, found.margin] == pytest.approx([0.1, 0.3, 0.2, 0.05])
    half = t_half_width([0.18, 0.22] * 6)
    assert [found.low, found.high] == pytest.approx([0.2 - half, 0.2 + half])
    assert (found.verdict, found.margin_text) == ("fail", "0.05 ROUGE-L")
    assert {part.variant: round(part.tuned or 0, 9) for part in found.by} == {"json": 0.6, "letter": 0.4, "plain": 0.8}
    assert found.reason.startswith(
        "Prompt brittleness: lost. The drop under other prompts went from 0.100 to 0.300 (+0.200; 95 % interval +0.18"
    )
    assert found.advice.startswith("Vary the wording")


def test_brittleness_leaves_out_a_question_without_the_trained_shell() -> None:
    items = [*_shells([(0.1, 0.1), (0.1, 0.12)] * 6), item("letter", 99, {"rouge_l": 0.0}, {"rouge_l": 0.0})]
    assert claim("brittleness", "brittleness", items).n == 12


def test_constraints() -> None:
    # 60 of 100 before, 58 after: 5 lost, 3 gained; (4 − 6)/102, variance ((4 + 6)/102 − d²)/101.
    pairs = [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 3 + [(1.0, 1.0)] * 55 + [(0.0, 0.0)] * 37
    found = claim("constraints", "constraints", one_measure("length", "followed", pairs))
    assert [found.base, found.tuned, found.difference, found.margin] == pytest.approx([0.6, 0.58, -0.02, 0.06])
    centre = -2 / 102
    half = float(scipy_stats.t.ppf(0.975, 99)) * math.sqrt((10 / 102 - centre**2) / 101)
    assert [found.low, found.high] == pytest.approx([centre - half, centre + half])
    assert (found.verdict, found.symptom) == ("inconclusive", 2)
    assert claim("constraints", "constraints", one_measure("length", "followed", [(1.0, 1.0)] * 100)).verdict == "pass"
    assert claim("constraints", "constraints", one_measure("length", "followed", [(1.0, 0.0)] * 20)).verdict == "fail"


def test_leakage() -> None:
    # 1 leak of 100 before, 21 after.
    pairs = [(1.0, 1.0)] + [(0.0, 1.0)] * 20 + [(0.0, 0.0)] * 79
    found = claim("leakage", "leakage", one_measure("general", "leak", pairs))
    centre = 20 / 102
    half = float(scipy_stats.t.ppf(0.975, 99)) * math.sqrt((22 / 102 - centre**2) / 101)
    assert [found.base, found.tuned, found.difference, found.margin] == pytest.approx([0.01, 0.21, 0.2, 0.05])
    assert [found.low, found.high] == pytest.approx([centre - half, centre + half])
    assert (found.verdict, found.symptom, found.better) == ("fail", 3, "lower")
    none = one_measure("general", "leak", [(0.0, 0.0)] * 100)
    assert claim("leakage", "leakage", none).verdict == "pass"
    assert claim("leakage", "leakage", none[:20]).verdict == "inconclusive"


def test_gap_of_families() -> None:
    pairs = [(0.5, 0.9), (0.5, 0.8)] * 6
    unseen = [(0.4, 0.4)] * 12
    found = claim("gap", "domain", [*domain("seen", pairs), *domain("unseen", unseen), *domain("paraphrase", pairs)])
    half = t_half_width([0.4, 0.3] * 6)
    assert (found.n, found.symptom) == (12, 4)
    assert [found.base, found.tuned, found.difference] == pytest.approx([0.1, 0.45, 0.35])
    assert [found.low, found.high] == pytest.approx([0.35 - half, 0.35 + half])
    assert (found.verdict, [part.variant for part in found.by]) == ("fail", ["paraphrase", "seen", "unseen"])


def test_gap_averages_the_items_of_a_family_and_leaves_out_half_families() -> None:
    items = [*domain("seen", [(0.5, 0.5)] * 11), *domain("unseen", [(0.4, 0.4)] * 10)]
    twin = Item("seen", "twin", "family 0", {"rouge_l": 0.7, "answer_loss": 1.0}, {"rouge_l": 0.9, "answer_loss": 1.0})
    found = claim("gap", "domain", [*items, twin])
    assert found.n == 10
    assert [found.base, found.tuned] == pytest.approx([(9 * 0.1 + 0.2) / 10, (9 * 0.1 + 0.3) / 10])


def test_items_of_one_family_count_as_one_cluster() -> None:
    items = [
        Item("logic", str(index), f"family {index % 4}", {"probability": 0.5, "correct": 0}, {"probability": 0.5, "correct": 0})
        for index in range(40)
    ]
    found = claim("retention", "retention", items)
    assert (found.verdict, found.n, found.clusters, found.needed) == ("inconclusive", 40, 4, 100)
    assert found.reason == "Retention: n below 10. 40 items in 4 clusters are too few for a verdict."
    assert found.reason_zh == "能力保持：n 小于 10。4 个簇中的 40 道题不足以下结论。"


@pytest.mark.parametrize("n", [1, 2, 9])
def test_too_few_items(n: int) -> None:
    found = claim("retention", "retention", _retention([(0.5, 0.1 * (index % 2)) for index in range(n)]))
    assert found.verdict == "inconclusive"
    assert "n below 10" in found.reason
    assert found.needed is not None
    assert found.needed >= 10
    assert (found.low is None) == (n == 1)


def test_a_diverged_model_is_not_judged_by_what_is_left() -> None:
    losses = [(2.0, math.nan if index == 3 else 1.0) for index in range(12)]
    found = claim("domain_loss", "domain", domain("paraphrase", [(0.1, 0.2)] * 12, losses))
    assert (found.verdict, found.base, found.tuned, found.difference, found.low) == ("inconclusive", 2.0, None, None, None)
    assert found.reason == (
        "Answer loss: undecided. Among the measures of 12 items are some that are not finite numbers; the model may have diverged."
    )


def test_a_base_model_without_the_ability_leaves_a_relative_claim_open() -> None:
    found = claim("constraints", "constraints", one_measure("length", "followed", [(0.0, 0.0)] * 40))
    assert (found.verdict, found.margin, found.needed) == ("inconclusive", 0.0, None)
    assert found.reason == (
        "Added constraints: undecided. The base model scores 0 on all 40 items, "
        "so there is nothing to keep and no relative loss to measure."
    )
    gained = claim("constraints", "constraints", one_measure("length", "followed", [(0.0, 1.0)] * 20 + [(0.0, 0.0)] * 20))
    assert gained.verdict == "pass"


def test_missing_probes_give_no_claim() -> None:
    assert claims_of({}, margins=MARGINS, confidence=0.95) == []
    only_seen = claims_of({"domain": domain("seen", [(0.1, 0.2)] * 12)}, margins=MARGINS, confidence=0.95)
    assert only_seen == []
    names = [
        found.name for found in claims_of({"domain": domain("paraphrase", [(0.1, 0.2)] * 12)}, margins=MARGINS, confidence=0.95)
    ]
    assert names == ["domain_gain", "domain_loss"]


def test_the_reason_tells_gain_and_failure_in_full_and_the_rest_by_name() -> None:
    probes = {
        "domain": domain("paraphrase", [(0.1, 0.3), (0.2, 0.6)] * 5),
        "brittleness": _shells([(0.1, 0.28), (0.1, 0.32)] * 6),
        "leakage": one_measure("general", "leak", [(0.0, 0.0)] * 20),
    }
    reason = overall_reason(claims_of(probes, margins=MARGINS, confidence=0.95))
    assert reason.en == (
        "Failed: Prompt brittleness. "
        "Answers to paraphrased training questions improved by 0.300 ROUGE-L (95 % interval 0.225 to 0.375, n = 10). "
        "Prompt brittleness: lost. The drop under other prompts went from 0.100 to 0.300 "
        "(+0.200; 95 % interval +0.187 to +0.213, n = 12), "
        "beyond the margin of 0.05 ROUGE-L. "
        "Undecided: Scene leakage (about 206 items needed). Passed: Answer loss. "
        "Not measured: Retention, Added constraints, Seen/unseen gap."
    )
    assert reason.zh.startswith("未通过：提示词脆弱性。对训练问题改写的回答改善了 0.300 ROUGE-L")
    assert reason.zh.endswith("未测量：能力保持、附加要求、见过与未见的差距。")
    assert overall_reason([]).en == "Nothing was measured, so there is no verdict."


def _lost(t: float, *, n: int = 30) -> list[Item]:
    """Retention items whose loss is `t` standard errors within the margin of 5 % of 0.5."""
    spread = 0.02
    error = spread * math.sqrt(n / (n - 1)) / math.sqrt(n)
    centre = -0.025 + t * error
    return _retention([(0.5, 0.5 + centre + (spread if index % 2 else -spread)) for index in range(n)])


def test_p_values_stand_raw_and_corrected_and_agree_with_the_interval() -> None:
    probes = {"retention": _lost(2.5), "leakage": one_measure("general", "leak", [(0.0, 0.0)] * 100)}
    retention, leakage = claims_of(probes, margins=MARGINS, confidence=0.95)
    assert retention.p == pytest.approx(float(scipy_stats.t.sf(2.5, 29)), rel=1e-6)
    assert retention.p_against == pytest.approx(1 - (retention.p or 0.0))
    # No leak of either model, and one item of each kind added: mean 0, variance (2/102) of 102 items.
    assert leakage.p == pytest.approx(float(scipy_stats.t.sf(0.05 / math.sqrt(2 / 102 / 101), 99)))
    assert [retention.p_holm, leakage.p_holm] == pytest.approx([retention.p, 2 * (leakage.p or 0.0)])
    assert (retention.verdict, leakage.verdict) == ("pass", "pass")


@pytest.mark.parametrize("t", [2.0, 2.04, 2.05, 2.1])
@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_a_claim_alone_passes_just_where_its_interval_is_within_the_margin(t: float, confidence: float) -> None:
    [found] = claims_of({"retention": _lost(t)}, margins=MARGINS, confidence=confidence)
    assert (found.p, found.p_against) == (found.p_holm, found.p_against_holm)
    assert found.low is not None
    assert found.margin is not None
    assert (found.verdict == "pass") == (found.low > -found.margin)


def test_what_only_holds_alone_is_undecided_and_says_so() -> None:
    alone = claim("retention", "retention", _lost(2.1))
    assert alone.verdict == "pass"
    probes = {"retention": _lost(2.1), "leakage": one_measure("general", "leak", [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 90)}
    together, leakage = claims_of(probes, margins=MARGINS, confidence=0.95)
    assert leakage.verdict == "inconclusive"
    assert together.p_holm == pytest.approx(2 * (together.p or 0.0))
    assert (together.verdict, together.p) == ("inconclusive", alone.p)
    assert "Alone this would be decided (p = 0.022), but among 2 claims tested together it may be chance" in together.reason
    assert "(Holm: p = 0.045, and less than 0.025 is asked). About " in together.reason
    assert "若只看这一项即可定论（p = 0.022）" in together.reason_zh
    # Two claims are left open, so it is the interval of Bonferroni for two that has to clear the margin.
    distance = 2.1 * 0.02 / math.sqrt(29)
    half = t_half_width([-0.02, 0.02] * 15) * float(scipy_stats.t.ppf(1 - 0.0125, 29) / scipy_stats.t.ppf(0.975, 29))
    assert together.needed == math.ceil(30 * (half / distance) ** 2)


def test_a_loss_is_corrected_as_a_gain_is() -> None:
    probes = {"retention": _lost(-2.1), "leakage": one_measure("general", "leak", [(0.0, 0.0)] * 100)}
    found, _ = claims_of(probes, margins=MARGINS, confidence=0.95)
    assert found.p_against_holm == pytest.approx(2 * (found.p_against or 0.0))
    assert found.verdict == "inconclusive"
    assert claim("retention", "retention", _lost(-2.1)).verdict == "fail"


def test_what_is_not_tested_is_not_corrected_for() -> None:
    probes = {"retention": _lost(2.1), "leakage": one_measure("general", "leak", [(0.0, 0.0)] * 9)}
    retention, leakage = claims_of(probes, margins=MARGINS, confidence=0.95)
    assert (leakage.p, leakage.p_holm, leakage.p_against, leakage.p_against_holm) == (None, None, None, None)
    assert retention.p == retention.p_holm
    assert retention.verdict == "pass"


def test_an_untouched_copy_keeps_all_and_gains_nothing() -> None:
    probes = {
        "domain": domain("paraphrase", [(0.3, 0.3), (0.4, 0.4)] * 10, [(2.0, 2.0)] * 20),
        "retention": _retention([(0.4, 0.4), (0.6, 0.6)] * 10),
    }
    gain, loss, retention = claims_of(probes, margins=MARGINS, confidence=0.95)
    assert [found.verdict for found in (gain, loss, retention)] == ["inconclusive", "inconclusive", "pass"]
    assert (retention.p, gain.p, gain.p_against) == (0.0, 1.0, 1.0)
    [strict] = claims_of({"retention": probes["retention"]}, margins={**MARGINS, "retention": 0.0}, confidence=0.95)
    assert strict.verdict == "pass"
