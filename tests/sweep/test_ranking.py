"""The order of the formats, and whether the data can tell them apart: known differences, and none."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from tests.sweep.answers import answers, candidate, shares
from tunewell.evaluate import bleu_signatures, corpus_bleu
from tunewell.records import Result
from tunewell.stats import holm, mean, paired_bootstrap, two_sided_p
from tunewell.sweep.formats import Candidate
from tunewell.sweep.ranking import FEW, Gap, Standing, contenders, preferred, rank

OWN, TEAM, ONE, TWO = candidate("auto", "own"), candidate("alpaca", "team"), candidate("bloomz"), candidate("vicuna-1.1")
_SURE = 0.95


def _rank(found: dict[Candidate, list[Result]]) -> list[Standing]:
    return rank(found, confidence=_SURE, seed=0)


def _told(standing: Standing) -> bool:
    assert standing.gap is not None
    return standing.gap.is_told(confidence=_SURE)


def test_a_known_difference_is_found_and_a_known_tie_is_not() -> None:
    known = shares(40, 0.6, seed=1)
    table = _rank(
        {
            ONE: answers([share - 0.25 for share in known]),
            OWN: answers(known),
            TEAM: answers([share + (0.02 if place % 2 else -0.02) for place, share in enumerate(known)]),
        }
    )
    assert table[-1].score.candidate == ONE
    assert _told(table[-1])
    assert not _told(table[1])
    assert [score.candidate for score in contenders(table, confidence=_SURE)] == [
        standing.score.candidate for standing in table[:2]
    ]
    assert preferred(table, confidence=_SURE).candidate == OWN


def test_bleu_is_that_of_sacrebleu_inside_its_interval() -> None:
    results = answers(shares(40, 0.6, seed=1))
    bleu = _rank({OWN: results})[0].score.bleu
    expected = BLEU(tokenize="13a").corpus_score([result.prediction for result in results], [[r.reference for r in results]])
    assert bleu.value == pytest.approx(expected.score)
    assert bleu.low is not None
    assert bleu.high is not None
    assert bleu.low < expected.score < bleu.high


def test_gaps_are_paired_and_their_p_values_corrected_for_all_pairs() -> None:
    known = shares(30, 0.5, seed=2)
    found = {OWN: answers(known), ONE: answers([share * 0.93 for share in known]), TWO: answers([share * 0.85 for share in known])}
    table = _rank(found)
    assert [standing.score.candidate for standing in table] == [OWN, ONE, TWO]
    families = [result.family for result in found[OWN]]
    sums = {name: corpus_bleu(results) for name, results in found.items()}
    pairs = [(OWN, ONE), (OWN, TWO), (ONE, TWO)]
    expected = [
        paired_bootstrap(sums[worse].statistic, sums[worse].rows, sums[better].rows, families, confidence=_SURE, seed=0).difference
        for better, worse in pairs
    ]
    uncorrected = [two_sided_p(difference) for difference in expected]
    assert [standing.gap for standing in table] == [
        None,
        *(Gap(difference, p) for difference, p in zip(expected[:2], holm([p for p in uncorrected if p is not None]), strict=False)),
    ]
    assert table[1].gap is not None
    assert table[1].gap.p != uncorrected[0]


def test_clusters_are_families() -> None:
    known = shares(60, 0.5, seed=3)
    alone = _rank({OWN: answers(known), ONE: answers([share - 0.04 for share in known])})
    repeated = [known[place // 6] for place in range(60)]
    together = _rank(
        {OWN: answers(repeated, per_family=6), ONE: answers([share - 0.04 for share in repeated], per_family=6)},
    )
    assert (alone[0].score.bleu.n, alone[0].score.bleu.clusters) == (60, 60)
    assert (together[0].score.bleu.n, together[0].score.bleu.clusters) == (60, 10)


def test_below_ten_families_nothing_is_told_apart() -> None:
    few = FEW - 1
    table = _rank({OWN: answers([0.0] * few), ONE: answers([0.9] * few)})
    assert table[0].score.candidate == ONE
    assert not _told(table[1])
    assert preferred(table, confidence=_SURE).candidate == OWN
    enough = _rank({OWN: answers([0.0] * FEW), ONE: answers([0.9] * FEW)})
    assert _told(enough[1])
    assert preferred(enough, confidence=_SURE).candidate == ONE


def test_one_family_has_no_interval() -> None:
    table = _rank({OWN: answers([0.5], per_family=1), ONE: answers([0.4], per_family=1)})
    assert table[1].gap is not None
    assert table[1].gap.p is None
    assert table[0].score.bleu.low is None
    assert preferred(table, confidence=_SURE).candidate == OWN


def test_equal_formats_stand_in_the_order_own_team_other() -> None:
    same = [0.5] * 12
    table = _rank({ONE: answers(same), TEAM: answers(same), OWN: answers(same)})
    assert [standing.score.candidate for standing in table] == [OWN, TEAM, ONE]
    assert [standing.gap and standing.gap.p for standing in table] == [None, 1.0, 1.0]


def test_without_an_own_format_the_teams_is_kept_where_the_data_cannot_tell() -> None:
    known = shares(20, 0.5, seed=4)
    jittered = [share + (0.12 if place % 2 else -0.1) for place, share in enumerate(known)]
    table = _rank({ONE: answers(jittered), TEAM: answers(known), TWO: answers([0.0] * 20)})
    assert table[0].score.candidate == ONE
    assert preferred(table, confidence=_SURE).candidate == TEAM


def test_one_format_alone_has_no_gap() -> None:
    table = _rank({ONE: answers([0.5] * 12)})
    assert [standing.gap for standing in table] == [None]
    assert preferred(table, confidence=_SURE).candidate == ONE


def test_each_item_is_counted_under_the_tokenizer_of_its_language() -> None:
    english = answers([0.5] * 10)
    chinese = [replace(result, language="zh", prediction="退款要五天到账", reference="退款需五天到账") for result in english]
    alone = _rank({OWN: chinese})[0].score.bleu.value
    expected = BLEU(tokenize="zh").corpus_score([result.prediction for result in chinese], [[r.reference for r in chinese]]).score
    assert alone == pytest.approx(expected)
    assert bleu_signatures([*english, *chinese]).keys() == {"en", "zh"}
    both = _rank({OWN: [*english, *chinese]})[0].score.bleu
    assert both.n == 20
    assert both.value is not None
    assert min(expected, _rank({OWN: english})[0].score.bleu.value or 0) < both.value


def test_cut_loss_and_rouge_stand_beside() -> None:
    results = answers([0.0, 0.5, 1.0, 1.0], loss=1.5)
    score = _rank({OWN: results})[0].score
    assert score.cut.value == pytest.approx(0.25)
    assert score.answer_loss.value == pytest.approx(1.5)
    assert score.rouge_l == mean([result.measures["rouge_l"] for result in results], [r.family for r in results])


@settings(max_examples=4, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.3, 0.6, 0.9]), min_size=10, max_size=14), st.permutations([OWN, TEAM, ONE]))
def test_the_table_does_not_hang_on_the_order_in_which_formats_were_scored(values: list[float], order: list[Candidate]) -> None:
    found = {OWN: answers(values), TEAM: answers(values[::-1]), ONE: answers([0.4] * len(values))}
    assert _rank({name: found[name] for name in order}) == _rank(found)
