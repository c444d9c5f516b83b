import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.checks import Quote, clause_of, locate, thin_quotes, whole_passage


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60) | st.text("#a \n*`", min_size=1, max_size=12), st.data())
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
        ("# Fees > Cards", "# Fees > Cards\n\nText.", Quote("Fees > Cards", 2, 14)),
        ("## Cards", "# Fees > Cards\n\nText.", Quote("Cards", 9, 14)),
        ("费率\n费率为零", "# 费率\n\n费率为零", Quote("费率\n\n费率为零", 2, 10)),
        ("C# code", "C code", None),
        ("it is free.", "It is free.", None),
        ("It is fre e", "It is 3", None),
        ("", "text", None),
        ("#", "# text", None),
        ("。", "文。", None),
    ],
)
def test_a_quote_is_located(quote: str, source: str, found: Quote | None) -> None:
    assert locate(quote, source) == found


@pytest.mark.parametrize(
    ("quotes", "source", "thin"),
    [
        (["5"], "Refunds take 5 days.", "5"),
        (["退款"], "退款需要五天。", "退款"),
        (["退", "五天"], "退款需要五天。", "退 … 五天"),
        (["5 days"], "Refunds take 5 days.", "5 days"),
        (["take 5 days"], "Refunds take 5 days.", ""),
        (["需要五天"], "退款需要五天。", ""),
        (["5", "Refunds take 5"], "Refunds take 5 days.", ""),
        (["¥99"], "| 月费 | ¥99 |\n|---|---|", ""),
        (["¥9"], "| 月费 | ¥99 |", "¥9"),
        (["免费"], "- 免费\n- 收费", ""),
        (["Visa"], "1. Visa\n2. Amex", ""),
        (["Cards"], "# Cards\n\nText.", ""),
        ([], "text", ""),
    ],
)
def test_quotes_that_are_too_short_prove_nothing(quotes: list[str], source: str, thin: str) -> None:
    assert thin_quotes(quotes, source) == thin


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("5 mg per day", "Adults take 0.5 mg per day."),
        ("costs 1", "It costs 1,000 dollars."),
        ("costs 0", "It costs 0.5 dollars."),
        ("the limit is 10", "the limit is 10k"),
        ("refund", "The deposit is refundable."),
        ("refundable deposit", "a non-refundable deposit"),
        ("return it after 30 days", "You cannot return it after 30 days."),
        ("5天内到账", "15天内到账"),
        ("满5", "满5万元可免"),
        ("二条规定的情形", "第十二条规定的情形"),
        ("十天", "三十天"),
        ("可以退货", "已拆封的不可以退货"),
        ("7天无理由退货", "不支持7天无理由退货"),
        ("5页面", "在H5页面提交"),
    ],
)
def test_a_passage_cut_in_a_number_or_word_or_after_a_negation_is_no_quote(quote: str, source: str) -> None:
    assert locate(quote, source)
    assert whole_passage(quote, source) is None
    # The same words stand whole behind it.
    assert whole_passage(quote, f"{source}；{quote}。") == Quote(quote, len(source) + 1, len(source) + 1 + len(quote))


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("0.5 mg per day", "Adults take 0.5 mg per day."),
        ("The limit is 5", "The limit is 5. Then it stops."),
        ("you can return it", "If it does not fit, you can return it."),
        ("You cannot return it", "You cannot return it after 30 days."),
        ("not only cards", "It supports not only cards but cash."),
        ("cards but cash", "It supports not only cards but cash."),
        ("十五天内到账", "需十五天内到账"),
        ("第十二条规定", "依第十二条规定的情形"),
        ("不可以退货", "已拆封的不可以退货"),
        ("支持微信支付", "不仅支持微信支付，还支持现金"),
        ("可以退货", "如未拆封，可以退货"),
        ("5元", "手续费5元"),
    ],
)
def test_a_passage_with_whole_edges_is_a_quote(quote: str, source: str) -> None:
    assert whole_passage(quote, source) == locate(quote, source) is not None


@pytest.mark.parametrize(
    ("quote", "source", "clause"),
    [
        ("mg per day", "Adults: take 0.5 mg per day, children less.", "Adults: take 0.5 mg per day"),
        ("1,000", "Fees. They cost 1,000 dollars. No more.", "They cost 1,000 dollars"),
        ("天内到账", "退款后，15天内到账；逾期请联系客服。", "15天内到账"),
        ("到账，请耐心", "退款15天内到账，请耐心等待。", "退款15天内到账，请耐心等待"),
        ("¥99", "| 月费 | ¥99 |", "¥99"),
        ("月费", "月费", "月费"),
    ],
)
def test_the_clauses_of_a_passage(quote: str, source: str, clause: str) -> None:
    passage = locate(quote, source)
    assert passage
    assert clause_of(passage, source).text == clause
