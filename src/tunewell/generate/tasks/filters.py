"""The filters of self-instruct: which instructions and instances are left out.

Sources: self-instruct (`bootstrap_instructions.py`, `prepare_for_finetuning.py`), Stanford Alpaca (`generate_instruction.py`),
BELLE (`generate_instruction.py`). Theirs count words between spaces and want an ASCII letter first, which rejects every
Chinese instruction; these count the tokens of `tunewell.text`.
"""

import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

from tunewell.bundled import read_yaml
from tunewell.generate.chunks import prose_language
from tunewell.generate.tasks.rows import Flaw, control_flaw
from tunewell.text import normalise, tokens


class Instance(NamedTuple):
    """What an instruction is applied to (perhaps nothing), and the answer."""

    input: str
    output: str


class _Length(NamedTuple):
    least: int
    most: int
    unit: str


# A word of Chinese has two characters on average, and an instruction fewer words.
_LENGTHS = {"en": _Length(3, 150, "words"), "zh": _Length(4, 200, "characters")}


def instruction_flaw(instruction: str, language: str) -> Flaw | None:
    """What is wrong with an instruction: its length, its language, what it asks for, or how it begins.

    >>> instruction_flaw("Draw a map of the town", "en")
    Flaw(reason='blacklist', detail='asks for: draw')
    """
    if flaw := control_flaw(instruction):
        return flaw
    count, length = len(tokens(instruction)), _LENGTHS[language]
    if count < length.least:
        return Flaw("too_short", f"{count} {length.unit}, {length.least} are the least")
    if count > length.most:
        return Flaw("too_long", f"{count} {length.unit}, {length.most} are the most")
    if found := _asks_for(instruction):
        return Flaw("blacklist", f"asks for: {found}")
    if _is_punctuation(instruction[0]):
        return Flaw("punctuation", f"begins with {instruction[0]}")
    if prose_language(instruction) != language:
        return Flaw("wrong_language", f"`{language}` was asked for")
    return None


def instance_flaws(instances: Sequence[Instance]) -> list[Flaw | None]:
    """What is wrong with each instance of one instruction.

    Where two share an input but not the output, all of the instruction are left out: nobody knows which of them is right, nor
    whether the task is clear.
    """
    flaws = [_instance_flaw(instance) for instance in instances]
    outputs = defaultdict(set)
    for instance, flaw in zip(instances, flaws, strict=True):
        if flaw is None:
            outputs[normalise(instance.input)].add(normalise(instance.output))
    doubtful = next((text for text, answers in outputs.items() if len(answers) > 1), None)
    if doubtful is not None:
        return [Flaw("answers_differ", f"more than one output for the input: {doubtful or 'none'}")] * len(instances)
    first: dict[Instance, int] = {}
    places = [first.setdefault(instance, place) for place, instance in enumerate(instances)]
    return [
        flaw or (Flaw("repeated", f"the same as number {places[place] + 1}") if places[place] < place else None)
        for place, flaw in enumerate(flaws)
    ]


def _instance_flaw(instance: Instance) -> Flaw | None:
    if not instance.output:
        return Flaw("empty_output", f"no output for the input: {instance.input or 'none'}")
    if normalise(instance.input) == normalise(instance.output):
        return Flaw("output_is_input", instance.output)
    for name, text in instance._asdict().items():
        if text.endswith((":", "：")):
            return Flaw("ends_with_colon", f"the {name} ends with {text[-1]}, as if cut off")
    return control_flaw(*instance)


def _asks_for(instruction: str) -> str:
    lists = _blacklist()
    found = lists.words.search(lists.allowed.sub(" ", instruction))
    return found.group().lower() if found else ""


class _Blacklist(NamedTuple):
    words: re.Pattern[str]
    allowed: re.Pattern[str]


@cache
def _blacklist() -> _Blacklist:
    lists = read_yaml("clean", "blacklist.yaml")
    return _Blacklist(*(_any_of(lists["en"][kind], lists["zh"][kind]) for kind in ("words", "allowed")))


def _any_of(english: Collection[str], chinese: Collection[str]) -> re.Pattern[str]:
    # `\b` knows no boundary between Latin and Han letters, and "photo照片" is two words.
    whole_words = f"(?<![A-Za-z0-9_])(?i:{'|'.join(map(re.escape, english))})(?![A-Za-z0-9_])"
    return re.compile("|".join([whole_words, *map(re.escape, chinese)]))


def _is_punctuation(character: str) -> bool:
    # 《 and “ open a title or a quotation, with which a Chinese sentence may well begin.
    opens = unicodedata.category(character) in {"Ps", "Pi"}
    return character in string.punctuation or (unicodedata.category(character)[0] in "PS" and not opens)
