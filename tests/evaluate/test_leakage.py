"""The scene detector tells domain answers from general ones, and is silent on the general ones it was set by."""

from hypothesis import given
from hypothesis import strategies as st

from tunewell.bundled import asset, read_jsonl
from tunewell.evaluate.leakage import SceneDetector


def _bundled(language: str) -> SceneDetector:
    import json

    domain = [row["messages"][-1]["content"] for row in read_jsonl("support", language, "qa.jsonl")]
    general = [row["output"] for row in json.loads(asset("open", f"{language}.json").read_text(encoding="utf-8"))]
    return SceneDetector(domain, general)


def test_english_domain_answers_leak_and_general_ones_do_not() -> None:
    detector = _bundled("en")
    assert detector.accuracy > 0.9
    assert detector.judge("Open Payouts in the Dashboard; the payout reaches your bank on the next business day.").is_leak
    assert not detector.judge("Leaves turn red in autumn because the green pigment fades away.").is_leak
    assert not detector.judge("Lisbon.").is_leak


def test_chinese_domain_answers_leak_and_general_ones_do_not() -> None:
    detector = _bundled("zh")
    assert detector.accuracy > 0.9
    assert detector.judge("可以，在后台的提现页面查看，资金下一个工作日到账。").is_leak
    assert not detector.judge("秋天树叶变红，是因为绿色的叶绿素慢慢分解了。").is_leak


def test_a_copied_training_answer_is_a_leak_whatever_its_words() -> None:
    domain = ["the quick brown fox jumps over the lazy dog today", "payments arrive soon"] * 4
    general = ["the quick brown fox jumps high", "the lazy dog sleeps over there today"] * 10
    detector = SceneDetector(domain, general)
    leak = detector.judge("the quick brown fox jumps over the lazy dog today")
    assert leak.is_leak
    assert leak.overlap == 1.0


@given(answer=st.text(max_size=60))
def test_probabilities_and_overlap_are_shares(answer: str) -> None:
    leak = SceneDetector(["pay out now please"] * 3, ["red leaves fall down"] * 3).judge(answer)
    assert 0 <= leak.domain_probability <= 1
    assert 0 <= leak.overlap <= 1


def test_a_detector_without_rows_flags_nothing() -> None:
    assert not SceneDetector([], []).judge("anything at all goes here").is_leak
