import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tunewell.generate.checks import same_numbers, unsupported_numbers
from tunewell.generate.numbers import readable, stated


def _shown(text: str) -> set[str]:
    return {amount.shown for amount in stated(text)}


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
        ("万一十分统一，有一天，一些，第三方，周一天气，千万不要", set()),
        ("utf8, IPv4, MySQL5.7", set()),
        ("version 3.1.2, 007", {"3.1.2", "7"}),
        ("四五天，三四十人，十五六天", {"4", "5", "30", "40", "15", "16"}),
        ("0.60 %，6‰，千分之六，百分之零点六", {"0.6%"}),
        ("一点五倍，一点五万元", {"1.5", "15000"}),
        ("一千二，三万五，一百零五元", {"1200", "35000", "105"}),
        ("3百万，1.3亿，1亿3000万，3万5千", {"3000000", "130000000", "35000"}),
        ("one hundred and twenty; two thousand, one hundred; half a million people", {"120", "2100", "500000"}),
        ("10k, $5M, 5M, USD1000", {"10000", "5000000", "5", "1000"}),
        ("半天，两个半小时，一年半，1个半月，下半年，大半年", {"0.5", "2.5", "1.5"}),
        ("two and a half hours, half an hour, 2½ hours, an hour and a half", {"2.5", "0.5", "1.5"}),
        ("3-5%, 3 to 5 percent, 百分之三到五, 3%~5%", {"3%", "5%"}),
        ("two to three million, 2-3 million, 二到三百万", {"2000000", "3000000"}),
        ("三到五天, three or five days", {"3", "5"}),
        ("9 am, 上午9点, 9:00 a.m., nine o'clock a.m.", {"9:00 am", "9:00"}),
        ("17:00, 5 pm, 下午五点, 5:00 p.m.", {"5:00 pm"}),
        ("下午五点半, 17点30分, 十七点半", {"5:30 pm"}),
        ("noon, 中午12点, midnight, 凌晨0点", {"12:00 pm", "12:00 am"}),
        ("共3点建议，16:9", {"3", "16", "9"}),
        ("5千米，五千米", {"5"}),
    ],
)
def test_the_numbers_that_a_text_states(text: str, numbers: set[str]) -> None:
    assert _shown(text) == numbers
    assert numbers <= readable(text).keys()


@pytest.mark.parametrize(
    "text",
    [
        "1. Open it\n2) Save\n（3）关闭，第2步",
        "Steps: 1. Open. 2. Save. 3. Close.",
        "**1.** Open\n- 2. Save\n> 3) Close",
        "步骤：1、打开；2、保存。3、关闭",
        "步骤1：打开，步骤 2：保存，第３步",
        "Step 1: open, then steps 2",
        "a) Open. b) Save.",
        "(1) Open (2) Save",
    ],
)
def test_the_numbers_of_steps_do_not_count(text: str) -> None:
    assert stated(text) == set()


@pytest.mark.parametrize("text", ["It takes 5. Then wait.", "端口：80、443", "（约5天）", "共 3. 5 元", "The fee is 2."])
def test_numbers_beside_points_and_brackets_count(text: str) -> None:
    assert stated(text)


_SUPPORTED = [
    ("需要 5 天", "需要五天"),
    ("需要五天", "需要 5 天"),
    ("It takes 5 days", "It takes five days"),
    ("满 1,000 元", "满1000元"),
    ("四天", "四五天"),
    ("1200 元", "一千二"),
    ("1.5 倍", "一点五倍"),
    ("0.6%", "千分之六"),
    ("3 百万", "3000000"),
    ("130 million", "1.3亿"),
    ("one hundred and twenty days", "120 days"),
    ("10,000 users", "10k users"),
    ("$5M", "5 million dollars"),
    ("5M", "$5 million, 5M of memory"),
    ("2.5 小时", "两个半小时"),
    ("3% to 5%", "3-5%"),
    ("3-5%", "3% to 5%"),
    ("3%到5%", "百分之三到五"),
    ("9 am", "9:00"),
    ("5 pm", "17:00"),
    ("下午5点", "营业到 17:00"),
    ("17点", "下午五点"),
    ("下午5点", "下午1点到5点"),
    ("1 pm to 5 pm", "1 to 5 pm"),
    ("早上9:30", "9:30开门"),
    ("one month", "a month"),
    ("two times a day", "twice a day"),
    ("USD 1000", "$1000"),
    ("$1000", "1,000 USD"),
    ("10 MB", "10MB"),
    ("百分之五", "5 个百分点"),
]
_UNSUPPORTED = [
    ("3天", "三十天", "3"),
    ("5 days", "fifteen days", "5"),
    ("1 dollar", "1,000 dollars", "1"),
    ("20 dollars", "1,020 dollars", "20"),
    ("2 元", "一百二十元", "2"),
    ("1 元", "十一元", "1"),
    ("6 天", "四五天", "6"),
    ("费率 0.8%", "费率 0.6%", "0.8%"),
    ("费率 5%", "最低 5 元", "5%"),
    ("within 9 days", "within 3 days", "9"),
    ("5 倍", "一点五倍", "5"),
    ("0.6%", "百分之六", "0.6%"),
    ("百分之六", "千分之六", "6%"),
    ("3 元", "3百万", "3"),
    ("12 元", "一千二", "12"),
    ("20 days", "one hundred and twenty days", "20"),
    ("100 days", "one hundred and twenty days", "100"),
    ("10 users", "10k users", "10"),
    ("2 小时", "2.5 小时", "2"),
    ("4%", "3-5%", "4%"),
    ("5 am", "17:00", "5:00 am"),
    ("上午5点", "下午五点", "5:00 am"),
    ("9:30", "9:00", "9:30"),
    ("下午6点", "下午1点到5点", "6:00 pm"),
    ("two months", "a month", "2"),
]


@pytest.mark.parametrize(("answer", "source"), _SUPPORTED)
def test_a_number_in_other_writing_is_supported(answer: str, source: str) -> None:
    assert unsupported_numbers(answer, source) == []


@pytest.mark.parametrize(("answer", "source", "missing"), _UNSUPPORTED)
def test_another_number_is_not_supported(answer: str, source: str, missing: str) -> None:
    assert unsupported_numbers(answer, source) == [missing]
    assert not same_numbers(answer, source)


def test_a_time_without_am_and_pm_is_of_a_clock_of_24_hours_in_a_source_and_open_in_an_answer() -> None:
    assert unsupported_numbers("9 pm", "9:00") == ["9:00 pm"]
    assert unsupported_numbers("9:00", "9 pm") == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5 days", "five days", True),
        ("5 days", "五天，最长 10 天", True),
        ("5 days", "6 days", False),
        ("5 days", "a few days", False),
        ("free", "no fee", True),
        ("3 to 5 days", "5 to 7 days", False),
        ("3天", "三十天", False),
        ("1 dollar", "1,000 dollars", False),
        ("5 pm", "17:00", True),
        ("one month", "a month", True),
    ],
)
def test_same_numbers(one: str, other: str, *, same: bool) -> None:
    assert same_numbers(one, other) is same_numbers(other, one) is same


_NUMBERS = st.one_of(st.integers(0, 120), st.integers(0, 10**12 - 1), st.integers(1, 999).map(lambda value: value * 10**6))


@settings(deadline=None)
@given(_NUMBERS, _NUMBERS)
def test_an_integer_reads_back_from_every_writing_and_never_as_another(value: int, other: int) -> None:
    assume(value != other)
    for text in _writings(value):
        assert _shown(text) == {str(value)}
        assert str(value) in readable(text)
        assert unsupported_numbers(text, f"{other} 元") == [str(value)]
        assert unsupported_numbers(f"{other} 元", text) == [str(other)]


def _writings(value: int) -> tuple[str, ...]:
    return (f"{value} 元", f"{value:,} 元", f"{_in_han(value)}元", f"{_in_english(value)} dollars")


def _in_han(value: int) -> str:
    """As a Chinese form of money would have it: 一百零五, 十二万零三."""
    if value == 0:
        return "零"
    written, is_gap = "", False
    for scale, sign in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group = value // scale % 10**4
        for place, digit in enumerate(f"{group:04d}"):
            if digit == "0":
                is_gap = bool(written)
            else:
                written += ("零" if is_gap else "") + "零一二三四五六七八九"[int(digit)] + ("千", "百", "十", "")[place]
                is_gap = False
        written += sign if group else ""
    return re.sub("^一十", "十", written)


_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def _in_english(value: int) -> str:
    if value < 20:
        return _SMALL[value]
    if value < 100:
        return _TENS[value // 10 - 2] + (f"-{_SMALL[value % 10]}" if value % 10 else "")
    for scale, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred")):
        if value >= scale:
            rest = value % scale
            joint = " and " if rest < 100 else ", " if scale > 100 else " "
            return f"{_in_english(value // scale)} {word}" + (f"{joint}{_in_english(rest)}" if rest else "")
    raise AssertionError(value)


_SCRAPS = (
    *"一二三十百千万亿点零半两分之到至:-.,%0123459个月天 元",
    *("am ", "half an ", "hour ", "one ", "and ", "hundred ", "k ", "M ", "$", "noon "),
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(_SCRAPS), max_size=12).map("".join))
def test_whatever_is_stated_is_readable(text: str) -> None:
    assert unsupported_numbers(text, text) == []
