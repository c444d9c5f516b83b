"""The share of noise, counted by hand, and the texts that must pass."""

import base64
import hashlib
import re

import pytest
from hypothesis import example as case
from hypothesis import given
from hypothesis import strategies as st

from tests.clean.test_rules import batch, example, seen
from tunewell.clean.noise import noise, noise_share


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0),
        (" \n ", 0),
        ("Fees are 1 %.", 0),
        ("abc\ufffd", 1 / 4),
        ("a b\x00\x07\ue000", 3 / 5),
        ("one\ttwo\r\nthree", 0),
        ("donâ€™t", 3 / 7),
        ("cafÃ©", 2 / 5),
        ("你好世界".encode().decode("latin-1"), 1),
        ("你好世界".encode().decode("gbk") + "ok", 6 / 8),
        ("锟斤拷锟斤拷是", 6 / 7),
        ("手持两把锟斤拷，口中疾呼烫烫烫", 6 / 15),
        ("屯屯屯屯是", 4 / 5),
        ("烫烫 屯屯", 0),
        ("哈" * 29, 0),
        ("哈" * 30, 1),
        ("真好笑" + "哈" * 37, 37 / 40),
        ("lol " * 8, 1),
        ("lol " * 7 + "yes", 0),
        ("abcdefgh" * 4 + "ijklmno", 32 / 39),
        ("abcdefgh" * 3 + "ijklmno", 0),
        ("abcdefghi" * 9, 0),
        ("=-" * 15, 1),
        ("=-" * 14, 0),
        ("好的" + "。" * 30, 30 / (20 + 30)),
        ("Total" + "-" * 30, 30 / (50 + 30)),
        ("-" * 40 + "哈" * 30, (40 + 300) / (40 + 300)),
        ("-" * 40 + "哈" * 30 + "好的", 340 / 360),
        ("0" * 40 + "哈" * 30, 30 / 70),
        ("a1" * 20, 1),
        ("\ufffd" * 20 + "right", 20 / 25),
        ("key " + "Ab3defgh5jklm+opqr/tuvwxyz" * 12, 312 / 315),
        ("key " + "Ab3defgh5jklm+opqr/tuvwxyz" * 11, 0),
        ("DNA " + "ACGTTGCAAGGCTTAACC" * 20, 0),
    ],
)
def test_share_by_hand(text: str, share: float) -> None:
    assert noise_share(text) == pytest.approx(share)


def test_blobs_in_one_word_and_in_lines() -> None:
    data = base64.b64encode(b"".join(hashlib.sha256(bytes([number])).digest() for number in range(20))).decode()
    assert noise_share(data) == 1
    assert noise_share("\n".join(re.findall(".{1,64}", data))) == 1
    assert noise_share("\n".join(re.findall(".{1,64}", data[: 7 * 64]))) == 0
    assert noise_share(hashlib.sha512(b"a hash is an answer").hexdigest()) == 0


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example("哈" * 30, "有什么好笑的？"), "question is 100.0% noise, more than 50.0%"),
        (example("What does it say?", "ab\ufffd\ufffd\ufffd"), "answer is 60.0% noise, more than 50.0%"),
        (example("What does it say?", "Fine.", "And?", "=-" * 30), "answer is 100.0% noise, more than 50.0%"),
        (example("What does it say?", "ab\ufffd\ufffd"), None),
        (example("What does it say?", "Nothing.", system="\ufffd" * 9), None),
        (example("", ""), None),
    ],
)
def test_noise(row: object, detail: str | None) -> None:
    assert seen(noise, row, share=0.5) == detail  # type: ignore[arg-type]


def test_the_share_is_a_setting() -> None:
    row = batch(example("What does it say?", "abc\ufffd"))
    assert noise(row, share=0.25) == [None]
    assert noise(row, share=0.2) == ["answer is 25.0% noise, more than 20.0%"]


@pytest.mark.parametrize(
    "text",
    [
        "The fee is 1.4 % + €0.25 per payment — see Settings → Fees.",
        "！！！真的吗？？？……好吧（笑）",
        "太好笑了😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂😂",
        "👍🏽 👨‍👩‍👧‍👦 🇪🇺 ✅✅✅",
        "哈哈哈哈哈，好的，谢谢！",
        "嗯嗯嗯",
        "for i in range(10):\n                                print(i)  # ----------------------------------------",
        "#include <stdio.h>\nint main(void) {\n    /****************************************/\n    return 0;\n}",
        "|  Plan  |  Fee  |\n|--------|-------|\n|  Basic |  1 %  |\n|  Pro   | 0.8 % |",
        "|  |  |  |  |  |  |  |  |  |\n|--|--|--|--|--|--|--|--|--|\n| x | o |  | x |  |  |  |  |  |",
        "+----------------------+\n|  Client              |\n+----------------------+\n           |\n           v\n"
        "+----------------------+\n|  Server              |\n+----------------------+",
        "┌────────────────────────┐\n│  商户后台              │\n└────────────────────────┘",
        "+---+---+---+---+---+---+---+\n" + "| 5 | 3 |   |   | 7 |   |   |\n+---+---+---+---+---+---+---+\n" * 7,
        "\n".join(f"{number}. 第{number}步：打开后台" for number in range(1, 30)),
        "- a\n- b\n- c\n- d\n- e\n- f\n- g\n- h\n- i\n- j",
        "[[0, 0, 0, 0, 0, 0, 0, 0],\n [0, 0, 0, 0, 0, 0, 0, 0],\n [0, 0, 0, 1, 0, 0, 0, 0],\n [0, 0, 0, 0, 0, 0, 0, 0]]",
        "Chapter 1 ................................ 5\nChapter 2 ............................... 19",
        "姓名：____________________ 日期：____________________",
        "1/3 = 0.333333333333333333333333333333 and so on",
        "SHA-256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "https://example.com/a/very/long/path/with/many/parts/and-words/and?query=123456789012345678901234567890",
        "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$",
        "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
        "Le café à Genève coûte très cher; «ça» été où naïve.",
        "涓涓细流，浜河纵横，鍦",
        "天地玄黄" * 3 + "宇宙洪荒",
        "3.14159265358979323846264338327950288419716939937510",
        "1" + "0" * 100,
        "0.33333333333333333333333333333333333",
        "010101010101010101010101010101010101",
        "0,0,0\n" * 20,
        "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈",
        "Hahahahahahahahaha!",
        "Yes. Yes. Yes. Yes. Yes.",
        "In base64 that is:\n" + base64.b64encode("你好，世界！Hello, world! 在编码的回答里有它很正常。".encode() * 2).decode(),
        "-----BEGIN PUBLIC KEY-----\n" + "\n".join(["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo"] * 6),
    ],
)
def test_what_people_write_passes(text: str) -> None:
    assert noise_share(text) <= 0.5
    assert seen(noise, example(text, text), share=0.5) is None


_PIECES = st.sampled_from(
    [*"ab01=- .。哈\n", "\ufffd", "\x00", "\ue000", "Ã©", "â€™", "锟斤拷", "烫烫烫", "你好".encode().decode("gbk"), "text"]
)
_RUNS = st.builds(
    lambda piece, times: "".join(piece) * times, st.lists(_PIECES, min_size=1, max_size=9), st.integers(min_value=1, max_value=25)
)
_TEXTS = st.lists(st.one_of(_PIECES, _RUNS), max_size=6).map("".join)


@given(st.lists(st.tuples(_TEXTS, _TEXTS), max_size=6))
@case([("哈" * 29, "哈" * 29), ("abcdefgh" * 4, ""), ("", "x" + "abcdefg" * 5)])
def test_the_first_look_loses_nothing(rows: list[tuple[str, str]]) -> None:
    found = [detail is not None for detail in noise(batch(*(example(*row) for row in rows)), share=0)]
    assert found == [any(noise_share(text) > 0 for text in row) for row in rows]


@given(_TEXTS)
def test_a_share_lies_between_none_and_all(text: str) -> None:
    assert 0 <= noise_share(text) <= 1
