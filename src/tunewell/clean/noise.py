"""The rule against texts that are damaged, or no text at all."""

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.clean.batch import Batch, Details

_LONGEST_PIECE = 8
_SHORTEST_RUN = 30
_SHORTEST_BLOB = 300
_BLOB_LINE = 60
_BLOB_LINES = 8
_WEAK = 10
"""A run of signs is counted as if it were this many times shorter."""

_DAMAGED = r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
# The bytes 80 to BF of UTF-8 as they look in Latin-1 and in Windows-1252.
_CONTINUED = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_LATIN_MOJIBAKE = f"[\xc2-\xdf]{_CONTINUED}|[\xe0-\xef]{_CONTINUED}{{2}}|\xf0{_CONTINUED}{{3}}"
_GBK_MOJIBAKE = "锟斤拷|烫{3,}|屯{3,}"
_BLOB_SIGN = "[A-Za-z0-9+/]"


def noise(batch: Batch, *, share: float) -> Details:
    r"""A question or an answer that is mostly damaged characters, or one piece over and over.

    What it drops: rows with a user or assistant turn whose share of noise is above `clean.noise`. The share is noise characters
    divided by all characters, white space left out of both. Noise characters are

    - damaged ones: U+FFFD, private use, control characters;
    - UTF-8 that was read in a wrong encoding: as Latin-1 or Windows-1252 ("â€™", "Ã©", "ä½ å¥½"), as GBK ("浣犲ソ"), and the
      well-known 锟斤拷, 烫烫烫 and 屯屯屯;
    - runs: a piece of 1 to 8 characters, white space included, that is repeated without a break until it fills at least 30
      characters and stands there at least three times. One of digits without a letter ("0, 0, 0, ") is data and does not
      count. One of signs alone ("------") is counted as a tenth of its length, among noise and among all characters, since tables,
      diagrams and forms are full of them;
    - blobs: 300 or more Latin letters, digits, `+` and `/` in one word, or eight or more lines of at least 60 of them, with a
      digit in the first word.

    Why: there is nothing to learn from it but to produce the same.
    Example: "哈" 30 times over; "=-" 15 times over; "好的" followed by 30 "。" (2 characters and 3 tenths of 10: 3 / 5 is
    0.6). "Total" and 30 dashes stay (3 / 8).
    Known problems: a right answer can be one piece over and over ("Write ha thirty times") or a blob ("Encode this in base64").
    Noise in small doses stays. Damage that gives ordinary letters (Cyrillic read as Latin) is not seen.
    Source: `character_repetition_filter` and `special_characters_filter` of Data-Juicer and the repetition rules of Gopher (Rae
    et al. 2021, appendix A). Those count every repeated n-gram wherever it stands, and every sign and digit as special, which
    drops code, tables and Chinese lists; here only unbroken runs and real damage count.
    """
    places = batch.places("user", "assistant")
    first_look = np.union1d(batch.matching(places, *_first_look()), places[_may_repeat(batch.texts.take(pa.array(places)))])
    turns = batch.turns(first_look)
    names = {"user": "question", "assistant": "answer"}
    shares = ((turn.row, names[turn.role], noise_share(turn.text)) for turn in turns)
    return batch.first_of(
        (row, f"{name} is {found:.1%} noise, more than {share:.1%}") for row, name, found in shares if found > share
    )


def noise_share(text: str) -> float:
    """The share of noise in a text, from 0 to 1, as the rule `noise` defines it.

    >>> noise_share("哈" * 30 + "。" * 10), noise_share("Total" + "-" * 30)
    (0.75, 0.375)
    """
    total = _WEAK * _visible(text)
    noisy = 0
    for found, weight in _noise(text):
        size = _visible(found)
        noisy += weight * size
        total -= (_WEAK - weight) * size
    return noisy / total if total else 0.0


def _noise(text: str) -> Iterator[tuple[str, int]]:
    for match in _pattern().finditer(text):
        found = match.group()
        if match.lastgroup != "run" or any(character.isalpha() for character in found):
            yield found, _WEAK
        elif not any(character.isdigit() for character in found):
            yield found, 1


def _visible(text: str) -> int:
    return sum(map(len, text.split()))


@cache
def _pattern() -> re.Pattern[str]:
    damaged = f"(?P<damaged>(?:{_DAMAGED}|{_LATIN_MOJIBAKE}|{_GBK_MOJIBAKE}|{''.join(_gbk_classes())})+)"
    line = f"{_BLOB_SIGN}{{{_BLOB_LINE},}}={{0,2}}"
    lines = f"{line}(?:\\s{line}){{{_BLOB_LINES - 1},}}(?:\\s{_BLOB_SIGN}+={{0,2}})?"
    blob = f"(?P<blob>(?<!{_BLOB_SIGN})(?=[A-Za-z+/]*[0-9])(?:{lines}|{_BLOB_SIGN}{{{_SHORTEST_BLOB},}}={{0,2}}))"
    return re.compile(f"{damaged}|{blob}|(?P<run>{'|'.join(map(_run_of, range(1, _LONGEST_PIECE + 1)))})", re.DOTALL)


def _run_of(length: int) -> str:
    """A piece of this length until it has filled the shortest run."""
    times = max(3, -(-_SHORTEST_RUN // length))
    return f"(?P<piece{length}>.{{{length}}})(?P=piece{length}){{{times - 1},}}"


@cache
def _gbk_classes() -> tuple[str, str, str]:
    """What two characters of three bytes in UTF-8 look like in GBK, where a character has two bytes: the classes of all three."""
    start, inner = range(0xE3, 0xF0), range(0x80, 0xC0)
    return _gbk_class(start, inner), _gbk_class(inner, start), _gbk_class(inner, inner)


def _gbk_class(first: range, second: range) -> str:
    read = (bytes((one, two)).decode("gbk", "ignore") for one in first for two in second)
    return f"[{''.join(character for character in read if len(character) == 1 and not character.isascii())}]"


@cache
def _first_look() -> tuple[str, ...]:
    """Patterns of RE2 of which a text with damage or a blob matches one."""
    damaged = _DAMAGED.encode("ascii").decode("unicode_escape")
    return (f"{damaged}|{_LATIN_MOJIBAKE}|{_GBK_MOJIBAKE}|{''.join(_gbk_classes())}", f"{_BLOB_SIGN}{{{_BLOB_LINE}}}")


def _may_repeat(texts: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Whether a text may hold a run; true of every text that does.

    A piece of at most 8 characters, or two, three or more of it, has 5 to 8: its period. In a run of 30 characters at least 22
    neighbours equal the character one period later, five of every fourth character among them, and all between these.
    """
    ends = np.cumsum(pc.utf8_length(texts).to_numpy())
    codes = np.frombuffer("".join(texts.to_pylist()).encode("utf-32-le"), np.uint32)
    suspects = np.zeros(len(texts), np.bool_)
    for period in range(5, _LONGEST_PIECE + 1):
        same = codes[:-period:4] == codes[period::4]
        starts = 4 * np.flatnonzero(same[:-4] & same[1:-3] & same[2:-2] & same[3:-1] & same[4:])
        for between in range(1, 16):
            starts = starts[codes[starts + between] == codes[starts + between + period]]
        suspects[np.searchsorted(ends, starts, side="right")] = True
    return suspects
