import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.polarity import same_polarity

_SAME = [
    ("You cannot return it after 30 days", "Returns are not accepted after 30 days"),
    ("You can return it within 30 days.", "You cannot return it after 30 days."),
    ("It is free.", "There is no fee."),
    ("If it is not opened, you can return it.", "If it is opened, you cannot return it."),
    ("You can return it if it is not opened.", "If it is opened, you can't return it."),
    ("It supports not only cards but also cash.", "It supports cards and cash."),
    ("Refunds take no more than 5 days", "Refunds take at most 5 days"),
    ("No, you cannot return it.", "You cannot return it."),
    ("It supports neither cards nor cash", "It does not support cards or cash"),
    ("Yes, but not on weekends.", "Yes, except on weekends."),
    ("This card is invalid.", "This card is not valid."),
    ("The item is non-refundable.", "The item is not refundable."),
    ("Opened items are not refundable; sealed ones are.", "Sealed items are refundable, opened ones are not."),
    ("Payment of order No. 5 is due", "Payment of order 5 is due"),
    ("Feel free to call us.", "You can call us."),
    ("Refunds are free. You need a receipt.", "Refunds are free."),
    ("不支持7天无理由退货", "不能7天无理由退货"),
    ("超过三十个工作日之后，不可以退货", "超过三十个工作日之后不可以退货"),
    ("不支持信用卡，也不支持现金", "信用卡和现金都不支持"),
    ("7天内可以退货，开封后不可以退货。", "7天内可以退货。"),
    ("30 天内可以退货", "超过 30 天不可以退货"),
    ("未开封可以退货", "开封后不可以退货"),
    ("如果未开封，可以退货", "未开封的可以退货"),
    ("退款免费", "退款不收费"),
    ("不仅支持微信，还支持支付宝", "支持微信和支付宝"),
    ("特别注意区别：非常快", "注意区别：很快"),
    ("最多5天到账", "不超过5天到账"),
    ("无论是否开封都可以退货", "不管开没开封都可以退货"),
    ("无需审核", "不需要审核"),
    ("请勿外传", "不要外传"),
    ("请别关闭页面", "请不要关闭页面"),
    ("不得不重新登录", "必须重新登录"),
    ("支付失败", "支付不成功"),
    ("不同银行的费率不同", "各银行的费率不同"),
    ("别名可以修改", "可以修改别名"),
    ("能不能退货要看商家", "要看商家"),
    ("", "不可以"),
]
_DIFFERENT = [
    ("Yes", "No"),
    ("No.", "You can return it."),
    ("Yes, you can.", "No, you can't."),
    ("You can return it after 30 days.", "You can’t return it after 30 days."),
    ("Refunds are free.", "Refunds are not free."),
    ("Smoking is allowed here.", "Smoking is not allowed here."),
    ("Smoking is permitted here.", "Smoking is forbidden here."),
    ("You are able to export data.", "You are unable to export data."),
    ("Exporting data is possible.", "Exporting data is impossible."),
    ("The code is valid.", "The code is invalid."),
    ("The fee is refunded, but the deposit is not.", "The fee is not refunded, but the deposit is."),
    ("The shop is open on Sundays and it accepts cards.", "The shop is open on Sundays and it does not accept cards."),
    ("You should never share the code.", "You should share the code."),
    ("It works without a network.", "It works with a network."),
    ("It takes not only cards but no cash.", "It takes not only cards but cash."),
    ("可以退货", "不可以退货"),
    ("不可以", "可以退货"),
    ("是", "否"),
    ("7天内可以退货，开封后不可以退货", "7天内不可以退货，开封后可以退货"),
    ("支持信用卡", "不支持信用卡"),
    ("收费", "不收费"),
    ("能开发票", "无法开发票"),
    ("允许外带饮料", "禁止外带饮料"),
    ("需要身份证", "无需身份证"),
    ("周末营业", "周末不营业"),
    ("已到账", "未到账"),
    ("请关闭页面", "请别关闭页面"),
    ("会员可以免费停车", "会员不可以免费停车"),
    ("费率相同", "费率不相同"),
    ("系统会自动续费", "系统不会自动续费，需要手动续费"),
    ("特别区别：支持退款", "特别区别：不支持退款"),
]


@pytest.mark.parametrize(("one", "other"), _SAME)
def test_texts_that_say_the_same(one: str, other: str) -> None:
    assert same_polarity(one, other)
    assert same_polarity(other, one)


@pytest.mark.parametrize(("one", "other"), _DIFFERENT)
def test_texts_of_which_one_denies_the_other(one: str, other: str) -> None:
    assert not same_polarity(one, other)
    assert not same_polarity(other, one)


_PIECES = st.lists(st.sampled_from([*"不可以退货，。的", "not ", "you can ", "return ", ", ", "if ", "30 "]), max_size=12).map(
    "".join
)


@settings(deadline=None)
@given(st.one_of(_PIECES, st.text(max_size=40)), st.one_of(_PIECES, st.text(max_size=40)))
def test_polarity_is_symmetric_and_a_text_agrees_with_itself(one: str, other: str) -> None:
    assert same_polarity(one, other) == same_polarity(other, one)
    assert same_polarity(one, one)


@pytest.mark.parametrize("piece", ["不", "not ", "a, ", "如果", "无论", "别", "if ", "\n"])
def test_a_hostile_text_is_read_in_reasonable_time(piece: str) -> None:
    begin = time.process_time()
    same_polarity(piece * 5_000, piece * 5_000)
    same_polarity("".join(f"{piece}{number}，" for number in range(300)), piece * 100)
    assert time.process_time() - begin < 2
