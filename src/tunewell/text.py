"""Tokens and languages of Chinese and English text, the same everywhere in the product."""

import re
import unicodedata

_TOKEN = re.compile(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")


def tokens(text: str) -> list[str]:
    """Lower-cased Latin words and digits, and single Han characters.

    The tokens of ROUGE-L here. `rouge_score` drops Han characters altogether, so that most Chinese texts have no token.

    >>> tokens("Refund 退款 in 5 days?")
    ['refund', '退', '款', 'in', '5', 'days']
    """
    return _TOKEN.findall(text.lower())


def language(text: str) -> str:
    """`zh` or `en` by script, or an empty string where neither prevails (numbers, code, another script).

    A Han character weighs as much as a Latin word. Known problem: Japanese written in kanji alone counts as `zh`, and every
    language in Latin script as `en`.

    >>> language("提现多久到账"), language("When is payout?"), language("12 + 7")
    ('zh', 'en', '')
    """
    han = 0 if text.isascii() else sum(map(len, _HAN_RUN.findall(text)))
    if han == 0:
        return "en" if _LATIN_WORD.search(text) else ""
    return "zh" if han >= len(_LATIN_WORD.findall(text)) else "en"


def normalise(text: str) -> str:
    r"""The text by which two rows count as the same: NFKC, lower case, single spaces.

    >>> normalise("Ｆｅｅｓ  for\n QR ")
    'fees for qr'
    """
    return " ".join(unicodedata.normalize("NFKC", text).split()).lower()
