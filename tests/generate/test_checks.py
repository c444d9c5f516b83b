import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.checks import (
    Quote,
    agreement,
    is_refusal,
    locate,
    meta_reference,
    same_numbers,
    unsupported,
    unsupported_names,
    unsupported_numbers,
)
from tunewell.generate.numbers import readable, stated


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60), st.data())
def test_every_passage_of_a_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = locate(text[start:end], text)
    letters = any(part.isalnum() for sign in text[start:end] for part in unicodedata.normalize("NFKC", sign))
    assert (found is not None) == letters
    assert found is None or text[found.start : found.end] == found.text


@pytest.mark.parametrize(
    ("quote", "source", "found"),
    [
        ("It is free.", "Yes. It  is\nfree.", Quote("It  is\nfree.", 5, 17)),
        ("费率0.6%", "费率为零；费率 ０．６％。", Quote("费率 ０．６％", 5, 12)),
        ("点击“提现”按钮", '请点击"提现"按钮', Quote('点击"提现"按钮', 1, 9)),
        ("Open Settings", "**Open** `Settings`", Quote("Open** `Settings", 2, 18)),
        ("< |im_end|>x1", "a <|im_end|>x1", Quote("<|im_end|>x1", 2, 14)),
        ("it is free.", "It is free.", None),
        ("It is fre e", "It is 3", None),
        ("", "text", None),
        ("。", "文。", None),
    ],
)
def test_a_quote_is_located(quote: str, source: str, found: Quote | None) -> None:
    assert locate(quote, source) == found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,000 and 1000.0", {"1000"}),
        ("五个工作日，二十四小时，一百二十元", {"5", "24", "120"}),
        ("二〇二四年三月", {"2024", "3"}),
        ("百分之五，5%，５％", {"5%"}),
        ("1.5万元，三亿五千万", {"15000", "350000000"}),
        ("three working days, twenty-four hours, two million users, five per cent", {"3", "24", "2000000", "5%"}),
        ("one of two ways, a third party, some", set()),
        ("万一十分统一，有一天，一些，第三方，周一天气", set()),
        ("1. Open it\n2) Save\n（3）关闭，第2步", set()),
        ("utf8, IPv4, MySQL5.7", set()),
        ("version 3.1.2, 007", {"3.1.2", "7"}),
        ("四五天", set()),
        ("0.60 %", {"0.6%"}),
    ],
)
def test_the_numbers_that_a_text_states(text: str, numbers: set[str]) -> None:
    assert stated(text) == numbers


@settings(deadline=None)
@given(st.integers(1, 9999))
def test_chinese_numerals_are_read(value: int) -> None:
    digits = "零一二三四五六七八九"
    written, pending = "", False
    for place, sign in zip(("千", "百", "十", ""), f"{value:04d}", strict=True):
        if sign == "0":
            pending = bool(written)
            continue
        written += ("零" if pending else "") + digits[int(sign)] + place
        pending = False
    assert str(value) in readable(f"共{written}元")
    assert stated(f"{written}元") == {str(value)}


def test_whatever_is_stated_is_readable() -> None:
    text = "五个工作日 1,200.50 元 twenty-four hours 百分之三 1.5万 3.1.2 two million users"
    assert stated(text) <= readable(text)


@pytest.mark.parametrize(
    ("answer", "source", "missing"),
    [
        ("需要 5 天", "需要五天", []),
        ("需要五天", "需要 5 天", []),
        ("It takes 5 days", "It takes five days", []),
        ("满 1,000 元", "满1000元", []),
        ("163、126 都行", "支持 qq，163,126", []),
        ("费率 0.8%", "费率 0.6%", ["0.8%"]),
        ("费率 5%", "最低 5 元", ["5%"]),
        ("within 9 days", "within 3 days", ["9"]),
    ],
)
def test_unsupported_numbers(answer: str, source: str, missing: list[str]) -> None:
    assert unsupported_numbers(answer, source) == missing


@pytest.mark.parametrize(
    ("answer", "source", "missing"),
    [
        ("Yes. Open the Dashboard.", "see the dashboard", []),
        ("Click Payouts, then Export.", "Payouts can be seen.", ["Export"]),
        ("Use APIs and Wi-Fi.", "The API works over Wi-Fi.", []),
        ("Set task_id in conf.yaml", "task_id stands in conf.yml", ["conf.yaml"]),
        ("数据源k8s命名空间用redis", "授权k8s空间", ["redis"]),
        ("点击「商户中心」", "打开商户 中心", []),
        ("点击「财务中心」", "打开商户中心", ["财务中心"]),
        ("见《用户手册》和“费率表”", "见用户手册", ["费率表"]),
        ('Choose "Fast mode" now', 'There is "fast mode".', []),
        ("- Save it.\n- Then wait.", "anything", []),
        ("I think RabbitMQ is used", "kafka is used", ["RabbitMQ"]),
    ],
)
def test_unsupported_names(answer: str, source: str, missing: list[str]) -> None:
    assert unsupported_names(answer, source) == missing


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
    ],
)
def test_a_refusal_is_seen(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer", ["It costs nothing.", "You do not need a code.", "不收费。", "没有上限，随时可以提现。", "Ada did."]
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
    ("one", "other", "same"),
    [
        ("5 days", "five days", True),
        ("5 days", "五天，最长 10 天", True),
        ("5 days", "6 days", False),
        ("5 days", "a few days", False),
        ("free", "no fee", True),
        ("3 to 5 days", "5 to 7 days", False),
    ],
)
def test_same_numbers(one: str, other: str, *, same: bool) -> None:
    assert same_numbers(one, other) is same_numbers(other, one) is same


@pytest.mark.parametrize("piece", ["一", "万", "9", "1,", "a.b.", "(", '"', "`", "the ", "没有对", "#|", " ", "\n", "Aa"])
def test_a_hostile_answer_is_checked_in_reasonable_time(piece: str) -> None:
    text = piece * 20_000
    begin = time.process_time()
    meta_reference(text)
    is_refusal(text)
    unsupported(text, text)
    locate(text[:100], text)
    assert time.process_time() - begin < 2
