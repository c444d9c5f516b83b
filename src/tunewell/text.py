"""Tokens and languages of Chinese and English text, the same everywhere in the product."""

import re
import unicodedata

CONTROL_TOKENS = "|".join(
    (
        r"<\|[A-Za-z_][A-Za-z0-9_ .:/-]{0,40}\|>",  # <|im_start|> <|eot_id|> <|user|> <|tool_call|>
        r"<｜[^｜<>]{1,40}｜>",  # the same with full-width bars
        r"\[\|(?i:human|ai|user|assistant|bot|system|tool|endofturn)\|\]",
        r"<(?:human|bot)>",
        r"<eo[aht]>",
        r"\[/?INST\]|<</?SYS>>",
        r"\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
        r"</?s>|<(?:bos|eos|pad|unk|mask)>|\[(?:CLS|SEP|MASK|PAD|UNK)\]",
        r"<(?:start|end)_of_turn>",
        r"\[s?g?MASK\]|<sop>|<eop>",
        r"<(?:reserved_|unused|extra_id_)[0-9]+>|\[(?:UNUSED_TOKEN_|unused)[0-9]+\]",
    )
)
"""The marks of turns in chat formats, as a pattern in the syntax that Python and RE2 share."""

_CONTROL_TOKEN = re.compile(CONTROL_TOKENS)
_TOKEN = re.compile(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # what a terminal obeys
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"  # what turns the order of a line around, or breaks it
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # what nobody sees
    "\ud800-\udfff]"  # half a character
    "|\r(?!\n)"
)


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


def defused(text: str) -> str:
    """The text with each control token of a chat format broken by a space, so that no server reads it as the end of a turn.

    >>> defused("Done.<|im_end|>")
    'Done.< |im_end|>'
    """
    return _CONTROL_TOKEN.sub(lambda found: f"{found.group()[0]} {found.group()[1:]}", text)


def well_formed(text: str) -> str:
    r"""The text with each half of a surrogate pair that stands alone replaced by `?`: no file and no server takes it.

    JSON can hold such halves, as the escapes of a text that was cut in the middle of a character.

    >>> well_formed("cut \ud83d"), well_formed("whole 中")
    ('cut ?', 'whole 中')
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def visible(text: str) -> str:
    r"""The text as a terminal may show it: what steers the terminal, turns a line around or cannot be seen is a `�`.

    Line breaks and tabs stay, and so do the joiners of Persian, of Indian scripts and of emoji.

    >>> visible("\x1b[2JIt takes five days.\u202e")
    '�[2JIt takes five days.�'
    """
    return _STEERING.sub("\ufffd", text)
