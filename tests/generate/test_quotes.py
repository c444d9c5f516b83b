import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.checks import Quote, locate, thin_quotes


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
