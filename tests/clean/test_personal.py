"""Personal data: found by form and checksum, dropped without a trace of its value, or masked once and for all."""

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clean.test_rules import batch, example, seen
from tunewell.clean.batch import Batch
from tunewell.clean.personal import mask, personal
from tunewell.identifiers import bare, has_iban_checksum, has_identity_checksum, has_luhn_checksum, identifiers, masked_text
from tunewell.records import EXAMPLE_SCHEMA, Example, row_to_example


def kinds(text: str) -> list[str]:
    return [one.kind for one in identifiers(text)]


def identity_number(region: str, birth: str, serial: int) -> str:
    body = f"{region}{birth}{serial:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


def card_number(start: str, length: int) -> str:
    body = start.ljust(length - 1, "3")
    return next(f"{body}{digit}" for digit in range(10) if _luhn(f"{body}{digit}"))


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(digits[::-1]):
        total += sum(map(int, str(int(digit) * 2))) if place % 2 else int(digit)
    return total % 10 == 0


def iban(country: str, body: str) -> str:
    rest = "".join(str(int(sign, 36)) for sign in f"{body}{country}00")
    return f"{country}{98 - int(rest) % 97:02d}{body}"


@pytest.mark.parametrize(
    "number",
    [
        "13812345678", "138 1234 5678", "138-1234-5678", "1381-234-5678", "+8613812345678", "+86 138-1234-5678", "(+86)13812345678",
        "0086 13812345678", "010-65529988", "(010)65529988", "(0755) 2345 6789", "0755-23456789", "0351-7654321", "01065529988",
        "075523456789", "+86 10 6552 9988", "+44 20 7946 0958", "+44 (0)20 7946 0958", "+49-30-1234567", "+1 (415) 555-2671",
        "+14155552671", "(415) 555-2671", "415-555-2671", "415.555.2671", "1-415-555-0199", "020 7946 0958", "07700 900123",
        "030/1234567", "0151 12345678", "01.23.45.67.89", "(86)13812345678", "(+44) 20 7946 0958", "(+1) 415 555 2671",
        "+33 1 23 45 67 89", "+33 (0)1 23 45 67 89", "+1.415.555.2671", "+7 495 123-45-67", "0412 345 678",
    ],
)  # fmt: skip
def test_phone_numbers(number: str) -> None:
    for text in (number, f"电话{number}吧", f"Call {number}, please.", f"({number})", f"1. {number}\n2. {number}"):
        assert set(kinds(text)) == {"phone"}, text
    assert masked_text(f"Call {number}!")[0].replace("([phone])", "[phone]") == "Call [phone]!"


@pytest.mark.parametrize(
    "text",
    [
        "订单12345678901381234567号", "单号20231105138123456789", "A13812345678", "13812345678B", "id_13812345678", "0.13812345678",
        "13812345678.5", "¥13812345678", "#13812345678", "12812345678", "138123456789", "2023-11-05 10:30:22", "1-800-555-0199",
        "01.02.2023 14:30", "192.168.100.200", "ISBN 978-7-111-12345-6", "3.14159265358979", "250 500 1000 2000", "1,234,567,890",
        "1700000000000", "5 +12345678", "10-20-30-40", "15 20 30 40 50 60", "1 000 000 000", "400-820-8820", "95588",
        "2024-2025", "2023.11.05-2024.01.06",
        "555-0199", "E = 1.602176634e-19", "1234567890", "13812345678元", "13812345678 元", "17179869184 bytes", "13812345678字节",
        "0800 555 0142", "(0800) 555 0142", "0808-555-0142", "888-555-0199", "1-866-555-0199", "(800) 555-0199", "工号0212345678",
        "+20000000", "x +86400000 ms", "+2.5 -3.1 4.2 -1.1 0.5", "+2.5 3.1 4.2 1.1 0.5", "+3.14159265358979", "+1 -1 +2 -2 +3 -3",
        "0102 0304 0506 0708 1112", "2024 01 02 03 04 05", "00:00:01,000 --> 00:00:02,500", "0.1 0.2 0.3 0.4 0.5 0.6",
        "京ICP备12345678号", "9007199254740991", "18446744073709551615", "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "4.18.0-372.9.1", "10.0.19045.3570", "255.255.255.255:8080", "2023-11-05T10:30:22.123456Z", "20231105103022123",
        "ISBN 9787302512345", "$1,299.99-$2,499.00", "GB/T 22239-2019", "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    ],
)  # fmt: skip
def test_other_numbers_are_none(text: str) -> None:
    assert kinds(text) == []
    assert seen(personal, example(f"What is {text}?", "No idea."), contacts=()) is None


@pytest.mark.parametrize("address", ["jo@mail.example", "zhang.san+a@qq.com", "a_b-c%d@sub.mail-host.co.uk", "JO@MAIL.COM"])
def test_addresses(address: str) -> None:
    for text in (address, f"邮箱{address}吧", f"Write to <{address}>.", f"mailto:{address}?subject=x", f"{address}，"):
        assert kinds(text) == ["email"], text
    assert masked_text(f"Write to {address}.")[0] == "Write to [email]."


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png", "git@github.com:user/repo", "git@github.com", "@app.route", "a @ b.com", "lodash@4.17.21", "jo@localhost",
        "this@MainActivity.finish()", "@types/node@18.11.9", "scp a.txt jo@host.com:/tmp", "image@sha256:abcdef",
    ],
)  # fmt: skip
def test_what_has_an_at_sign_and_is_no_address(text: str) -> None:
    assert kinds(text) == []


@given(
    st.sampled_from(["110105", "440305", "810000", "830000", "650102"]),
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.integers(min_value=0, max_value=999),
)
def test_identity_numbers_have_a_checksum(region: str, day: date, serial: int) -> None:
    number = identity_number(region, f"{day:%Y%m%d}", serial)
    assert has_identity_checksum(number)
    assert kinds(f"身份证{number}。") == ["identity_number"]
    assert kinds(f"身份证{number[:6]} {number[6:14]} {number[14:]}。") == ["identity_number"]
    assert kinds(number.lower()) == ["identity_number"]
    wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
    assert not has_identity_checksum(wrong)
    assert "identity_number" not in kinds(wrong)


@pytest.mark.parametrize(
    ("region", "birth"),
    [("990105", "19491231"), ("000105", "19491231"), ("110105", "19491301"), ("110105", "20230229"), ("110105", "18991231")],
)
def test_identity_numbers_need_a_province_and_a_day(region: str, birth: str) -> None:
    assert "identity_number" not in kinds(identity_number(region, birth, 2))


@pytest.mark.parametrize(
    ("number", "expected"),
    [("130503670401001", ["identity_number"]), ("130503671301001", []), ("990503670401001", []), ("130503670229001", [])],
)
def test_identity_numbers_of_fifteen_digits_need_a_day(number: str, expected: list[str]) -> None:
    assert kinds(f"号码{number}。") == expected


@pytest.mark.parametrize(
    ("start", "length"),
    [
        ("4", 13), ("4", 16), ("4", 19), ("51", 16), ("2221", 16), ("2720", 16), ("371", 15), ("622202", 19), ("622848", 16),
        ("9558", 19), ("3530", 16), ("6011", 16), ("5018", 13), ("2200", 16),
    ],
)  # fmt: skip
def test_bank_cards_have_a_known_start_and_a_checksum(start: str, length: int) -> None:
    number = card_number(start, length)
    assert has_luhn_checksum(number)
    assert kinds(f"卡号{number}，谢谢") == ["bank_card"]
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not has_luhn_checksum(wrong)
    assert kinds(f"卡号{wrong}，谢谢") == []


@pytest.mark.parametrize(
    "text",
    ["2023 4111 1111 1111 1111", "4111-1111-1111-1111", "3714 496353 98431", "622202 1234567890128", "6222 0212 3456 7890 128"],
)
def test_bank_cards_in_groups(text: str) -> None:
    assert kinds(text) == ["bank_card"]


@pytest.mark.parametrize("number", [card_number("1", 16), card_number("978", 13), card_number("4", 17), card_number("2721", 16)])
def test_other_numbers_with_the_checksum_are_no_cards(number: str) -> None:
    assert kinds(number) == []


def test_ibans_have_a_checksum_and_the_length_of_their_country() -> None:
    number = iban("DE", "370400440532013000")
    assert has_iban_checksum(number)
    grouped = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    for text in (number, grouped, f"账号{number}。", f"{grouped} AND MORE"):
        assert kinds(text) == ["iban"], text
    swapped = number[:4] + number[5] + number[4] + number[6:]
    assert not has_iban_checksum(swapped)
    assert "iban" not in kinds(swapped)
    assert "iban" not in kinds(iban("DE", "37040044053201300"))
    assert "iban" not in kinds(iban("ZZ", "370400440532013000"))
    assert kinds("GB82 WEST 1234 5698 7654 32 AND") == ["iban"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("123-45-6789", ["social_security_number"]),
        ("000-45-6789", []),
        ("666-45-6789", []),
        ("900-45-6789", []),
        ("123-00-6789", []),
        ("123-45-0000", []),
        ("123-45-67890", []),
        ("1-123-45-6789", []),
    ],
)
def test_social_security_numbers(number: str, expected: list[str]) -> None:
    assert kinds(f"SSN {number}.") == expected


def test_the_detail_counts_kinds_and_holds_no_value() -> None:
    row = example("我是13812345678和13912345678", "Write to jo@mail.example", system="Call 415-555-2671")
    assert seen(personal, row, contacts=()) == "email: 1, phone: 3"
    assert seen(personal, example("Who?", "Me."), contacts=()) is None


def test_contacts_stay_however_they_are_written() -> None:
    contacts = ["021 5555 0142", "Help@Mail.example"]
    row = example("Whom do I call?", "Call 021-5555-0142 or write to HELP@mail.example.", "Else?", "Or jo@mail.example")
    assert seen(personal, row, contacts=contacts) == "email: 1"
    assert mask(batch(row), contacts=contacts).counts == {"email": 1}
    assert bare("+86 (138) 1234-5678") == "8613812345678"


def test_masking_writes_words_in_the_language_of_the_message() -> None:
    row = example(
        "我的电话是13812345678", "13912345678", language="zh", evidence={"topic": "a", "masked": {"phone": 1, "email": 2}}
    )
    other = example("Is it free?", "Yes.", system="Call +14155552671.")
    table, counts = mask(batch(row, other, example("Hm?", "No.")), contacts=())
    assert counts == {"phone": 3}
    first, second, third = map(row_to_example, table.to_pylist())
    assert [message.content for message in first.messages] == ["我的电话是[电话]", "[电话]"]
    assert first.evidence == {"topic": "a", "masked": {"phone": 3, "email": 2}}
    assert (first.id, first.family, first.language) == (row.id, row.family, "zh")
    assert second.system == "Call [phone]."
    assert second.evidence == {"masked": {"phone": 1}}
    assert third == example("Hm?", "No.")
    assert table.schema == EXAMPLE_SCHEMA


def test_masking_a_slice_of_a_table_reads_its_own_rows() -> None:
    table = batch(
        example("13812345678?", "No"), example("Who?", "Me"), example("jo@mail.example?", "Yes"), example("Or?", "No")
    ).table
    masked = mask(Batch(table.slice(1, 2)), contacts=()).table
    assert [row["messages"][0]["content"] for row in masked.to_pylist()] == ["Who?", "[email]?"]
    assert mask(Batch(table.slice(0, 0)), contacts=()) == (table.slice(0, 0), {})


def test_a_number_that_a_word_uncovers_is_masked_as_well() -> None:
    text = "GB82 WEST 1234 5698 7654 32(415) 555-2671"
    assert kinds(text) == ["iban"]
    assert masked_text(text) == ("[IBAN][phone]", {"iban": 1, "phone": 1})
    assert masked_text("415-555-2671-13812345678") == ("415-555-2671-13812345678", {})


def test_every_kind_has_a_word_in_every_language() -> None:
    words = {
        "en": "[email] [IBAN] [identity number] [bank card] [social security number] [phone]",
        "zh": "[邮箱] [国际银行账号] [身份证号] [银行卡号] [社会保障号码] [电话]",
    }
    values = "jo@mail.example GB82WEST12345698765432 11010519491231002X 4111111111111111 123-45-6789 13812345678"
    assert masked_text(f"{values} in so many words as to be English")[0].startswith(words["en"])
    assert masked_text(f"{values} 都是个人信息，不应当留在这段文字里面")[0].startswith(words["zh"])


def test_many_numbers_in_one_text_take_no_quadratic_time() -> None:
    assert masked_text("13812345678 " * 20_000)[1] == {"phone": 20_000}


_PIECES = st.sampled_from(
    [
        "13812345678", "138 1234 5678", "+86", "+44 20 7946 0958", "0755-23456789", "(010)", "65529988", "jo@mail.example", "@",
        "4111", "4111111111111111", "11010519491231002X", "130503670401001", "GB82 WEST 1234 5698 7654 32", "123-45-6789",
        "(415) 555-2671", " ", "-", ".", "，", "电话", "a", "_", "7", "0", "X", "/", "#", "[", "]",
    ]
)  # fmt: skip
_TEXTS = st.lists(_PIECES, max_size=8).map("".join)


@given(st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4))
def test_masking_finds_what_each_text_holds_and_is_done_once(rows: list[tuple[str, str]]) -> None:
    examples = [example(*row) for row in rows]
    once = mask(batch(*examples), contacts=())
    assert [bool(detail) for detail in personal(batch(*examples), contacts=())] == [any(map(identifiers, row)) for row in rows]
    masked: list[Example] = [row_to_example(row) for row in once.table.to_pylist()]
    assert [[message.content for message in row.messages] for row in masked] == [
        [masked_text(text)[0] for text in row] for row in rows
    ]
    assert [(row.id, row.family, row.origin) for row in masked] == [(row.id, row.family, row.origin) for row in examples]
    twice = mask(Batch(once.table), contacts=())
    assert (twice.table, twice.counts) == (once.table, {})
    assert not any(personal(Batch(once.table), contacts=()))


@given(st.text(max_size=60))
def test_texts_without_digits_and_at_signs_hold_none(text: str) -> None:
    silent = "".join(sign for sign in text if sign not in "@0123456789")
    assert masked_text(silent) == (silent, {})


def test_evidence_stays_sorted_json() -> None:
    table = mask(batch(example("jo@mail.example?", "Yes", evidence={"z": "é", "a": 1})), contacts=()).table
    assert table.column("evidence").to_pylist() == [json.dumps({"a": 1, "masked": {"email": 1}, "z": "é"}, ensure_ascii=False)]


def test_days_are_those_of_the_calendar() -> None:
    leap_day = date(2024, 2, 28) + timedelta(days=1)
    assert kinds(identity_number("110105", f"{leap_day:%Y%m%d}", 2)) == ["identity_number"]
