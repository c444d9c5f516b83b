import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.checks import (
    agreement,
    is_refusal,
    meta_reference,
    unsupported,
    unsupported_numbers,
)


def test_unsupported_is_both() -> None:
    assert unsupported("Ask Visa, wait 9 days.", "Wait 3 days.") == ["9", "Visa"]


@pytest.mark.parametrize(
    "question",
    [
        "What does the passage say about fees?",
        "According to the document, when is payout?",
        "As shown in Figure 3, what is the rate?",
        "What are the types mentioned in the text?",
        "What is described above?",
        "What does this section say about cards?",
        "Which fees does the author list?",
        "What does the text above explain?",
        "文中提到的三种方式是什么？",
        "上文提到的手续费是多少？",
        "该段主要讲了什么？",
        "本文介绍了什么？",
        "如图3所示，怎么操作？",
        "如下表，费率是多少？",
        "根据资料，提现要多久？",
        "这段话是什么意思？",
        "文档中提到的端口是多少？",
        "本节讲了什么？",
        "这节的内容是什么？",
        "根据资料中的说明，提现要多久？",
        "结合材料，费率是多少？",
    ],
)
def test_a_reference_to_the_text_is_seen(question: str) -> None:
    assert meta_reference(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I share a document?",
        "How do I move the text above the image?",
        "Where do I find the page number?",
        "Can I add a table of contents?",
        "文本文件怎么导出？",
        "中文文件名乱码怎么办？",
        "怎么在上下文中查看日志？",
        "怎么在文本文档中插入表格？",
        "以上文件能删吗？",
        "这段时间无法提现怎么办？",
        "报错如下怎么办？",
        "本章程什么时候生效？",
        "本节点挂了怎么办？",
        "这个数字代表3个什么？",
        "平台会根据资料审核结果通知我吗？",
        "根据材料不同收费一样吗？",
        "本节能灯能用多久？",
        "这节课多少钱？",
        "本节目几点播出？",
    ],
)
def test_no_reference_to_the_text_is_seen(question: str) -> None:
    assert meta_reference(question) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "The documentation does not say whether keeping a parcel costs anything.",
        "That isn't covered in the documentation I have.",
        "I have no information about parking.",
        "现有资料没有说明保管包裹是否收费。",
        "资料中未提及该费用。",
        "目前的资料里没有关于停车的内容。",
        "无法确定具体时间。",
        "资料对此未作说明。",
        "文档中找不到停车费的信息。",
        "找不到关于停车费的说明。",
        "手册没有详细说明费用。",
        "具体费率不得而知。",
        "The guide doesn't clarify who pays.",
        "The fee is not mentioned.",
        "The fee was not explicitly specified.",
        "I cannot find this in the documentation.",
        "The material says nothing about parking.",
        "It's not covered here.",
    ],
)
def test_a_refusal_is_seen(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "It costs nothing.",
        "You do not need a code.",
        "不收费。",
        "没有上限，随时可以提现。",
        "Ada did.",
        "If you cannot find the button, update the app.",
        "找不到订单时请联系客服。",
        "It is not available on Sundays.",
    ],
)
def test_an_answer_is_no_refusal(answer: str) -> None:
    assert not is_refusal(answer)


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_agreement_is_symmetric_and_whole_for_equal_texts(one: str, other: str) -> None:
    assert agreement(one, other) == agreement(other, one)
    assert 0 <= agreement(one, other) <= 1
    assert agreement(one, one) == 1


def test_agreement_is_rouge_l() -> None:
    assert agreement("退款需要五天", "退款要五个工作日") == pytest.approx(2 * 4 / (6 + 8))
    assert agreement("さ", "し") == 0


@pytest.mark.parametrize(
    ("answer", "source", "said", "missing"),
    [
        ("是的，提现7天到账。", "提现3个工作日到账。", "提现是不是要7天到账？", ["7"]),
        ("不是，不用7天。", "提现3个工作日到账。", "提现是不是要7天到账？", []),
        ("不是7天，是3个工作日。", "提现3个工作日到账。", "提现是不是要7天到账？", []),
        ("可以，5台设备都能登录。", "登录设备数量没有上限。", "我有5台设备，都能登录吗？", []),
        ("Yes, within 60 days.", "Items can be returned within 30 days.", "Can I return it within 60 days?", ["60"]),
        (
            "No, 60 days are too many; it is 30 days.",
            "Items can be returned within 30 days.",
            "Can I return it within 60 days?",
            [],
        ),
        ("No, not within 60 days.", "Items can be returned within 30 days.", "Can I return it within 60 days?", []),
        ("Yes, within 45 days.", "Any time.", "Can I return it within 60 days?", ["45"]),
    ],
)
def test_a_number_of_the_question_alone_proves_nothing(answer: str, source: str, said: str, missing: list[str]) -> None:
    assert unsupported_numbers(answer, source, said) == missing
