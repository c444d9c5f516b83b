import pytest

from tunewell.generate.tasks.grounding import GroundedAnswer, Verdicts, answer_checks, refusal_checks
from tunewell.records import Document


def _chunk(text: str) -> Document:
    return Document("c-1", "a.md", "", text, 0, len(text), "en" if text.isascii() else "zh")


@pytest.mark.parametrize(
    ("question", "text", "quote", "answer", "reason", "detail"),
    [
        ("退款要多久？", "退款成功后15天内到账，请等待。", "5天内到账", "5天内到账。", "quote_not_found", "5天内到账"),
        ("已拆封的能退吗？", "已拆封的商品不可以退货。", "可以退货", "可以退货。", "quote_not_found", "可以退货"),
        ("每次几片？", "成人每次一片，每日三次。", "成人每次一片", "成人每次两片。", "unsupported_number", "2"),
        ("费率多少？", "手续费为0.6%或5元。", "手续费为0.6%或5元", "手续费为5%。", "unsupported_number", "5%"),
        ("提现要7天吗？", "提现3个工作日到账。", "提现3个工作日到账", "是的，提现7天到账。", "unsupported_number", "7"),
        ("赔牙科吗？", "本保险赔付住院费用。", "本保险赔付住院费用", "资料没有说明。", "not_answerable", "资料没有说明。"),
        ("赔牙科吗？", "本保险不包含牙科。", "本保险不包含牙科", "本保险不包含牙科。", "", ""),
        ("提现要多久？", "提现3个工作日到账。", "个工作日到账", "3个工作日。", "", ""),
        ("How much?", "Adults take 0.5 mg per day.", "5 mg per day", "5 mg per day.", "quote_not_found", "5 mg per day"),
        ("How long?", "Parcels are kept for 15 days.", "Parcels are kept for 15 days", "30.", "unsupported_number", "30"),
        ("How long?", "Parcels are kept for 15 days.", "are kept for", "It is 15 days.", "", ""),
        ("Is dental covered?", "It does not cover dental care.", "does not cover dental care", "It does not cover it.", "", ""),
    ],
)
def test_an_answer_rests_on_whole_quotes(question: str, text: str, quote: str, answer: str, reason: str, detail: str) -> None:
    verdicts = Verdicts()
    verdicts.hold(answer_checks(GroundedAnswer(quotes=[quote], answerable=True, answer=answer), question, _chunk(text)))
    assert (verdicts.reason, verdicts.detail) == (reason, detail)


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("商品下单后48小时内发货。", "我们不提供上门安装。", "no_refusal"),
        ("商品下单后48小时内发货。", "资料里没写是否上门安装。", ""),
        ("Claims must be sent within 30 days.", "The insurance does not cover dental care.", "no_refusal"),
        ("Claims must be sent within 30 days.", "I don't have that information.", ""),
    ],
)
def test_an_invented_denial_is_no_refusal(text: str, answer: str, reason: str) -> None:
    verdicts = Verdicts()
    verdicts.hold(refusal_checks(GroundedAnswer(quotes=[], answerable=False, answer=answer), "What of it?", _chunk(text)))
    assert verdicts.reason == reason
