"""Rules about what a text holds: words that ask for the impossible, and the tokens of chat formats."""

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from tunewell.clean.batch import Batch, Details
from tunewell.text import CONTROL_TOKENS

# An answer may think aloud or call a tool; a question that does so was cut wrongly.
_TOKENS_OF_ANSWERS = r"</?(?:think|tool_call|tool_response)>"


def blacklist(batch: Batch) -> Details:
    """A question that asks for what a text model cannot do: pictures, charts, sound.

    What it drops: rows in which a user turn holds a word of `assets/clean/blacklist.yaml`: whole English words in any case,
    Chinese substrings. Its `allowed` phrases ("chart of accounts") are taken out before the search.
    Why: the honest answer is "I cannot", and the answer that stands there makes the model pretend it can.
    Example: "Draw a diagram of the payment flow", "给我画一张流程图".
    Known problems: "Can I send a photo of my passport?" is dropped though it can be answered: read `dropped`, or set
    `clean.skip: [blacklist]`. Words that are ordinary in support (file, link, "go to", screenshot, 文件, 链接, 截图), which
    the sources list, are left out on purpose.
    Source: self-instruct (`bootstrap_instructions.py`), Stanford Alpaca (`generate_instruction.py`), BELLE
    (`generate_instruction.py`).
    """
    lists = _blacklist()
    turns = batch.turns(batch.matching(batch.places("user"), lists.first_look))
    # Few questions hold such a word; only those are searched again without the allowed phrases.
    searched = (
        (turn.row, lists.words.search(lists.allowed.sub(" ", turn.text))) for turn in turns if lists.words.search(turn.text)
    )
    return batch.first_of((row, f"asks for: {found.group().lower()}") for row, found in searched if found)


def control_tokens(batch: Batch) -> Details:
    """Control tokens of a chat format in the text of a message.

    What it drops: rows in which any message holds `<|…|>`, `[|Human|]`, `[INST]`, `<s>`, `</s>`, `<start_of_turn>`, `<human>`,
    `<unused12>`, `[UNUSED_TOKEN_145]` and the like, or a user or system text holds `<think>` or `<tool_call>`, which answers may.
    Why: a tokenizer may read them as turn boundaries, so that a row ends early or speaks for the other side; mostly they are
    the remains of a template that was applied once already.
    Example: `{"answer": "Within two days.<|im_end|>"}`.
    Known problems: code and prose in which such a word means something else is dropped as well: `<s>` strikes text through in
    HTML, `<human>` or `<bot>` may be an element of XML, `[MASK]` and `[SEP]` stand in texts about BERT. Where answers hold
    markup, set `clean.skip: [control_tokens]`.
    Source: the prompt formats of ChatML, Llama 2 and 3, Mistral, Gemma, ChatGLM, Baichuan, InternLM, MOSS, EXAONE, T5, BERT and
    DeepSeek.
    """
    patterns = (
        (("system", "user", "assistant"), CONTROL_TOKENS),
        (("system", "user"), _TOKENS_OF_ANSWERS),
    )
    found = [
        (turn.row, re.search(pattern, turn.text))
        for roles, pattern in patterns
        for turn in batch.turns(batch.matching(batch.places(*roles), pattern))
    ]
    return batch.first_of((row, f"holds {match.group()}") for row, match in found if match)


class _Blacklist(NamedTuple):
    first_look: str
    words: re.Pattern[str]
    allowed: re.Pattern[str]


@cache
def _blacklist() -> _Blacklist:
    lists = yaml.safe_load((files("tunewell") / "assets" / "clean" / "blacklist.yaml").read_text(encoding="utf-8"))
    # `\b` knows no boundary between Latin and Han letters, and "photo照片" is two words.
    before, after = "(?<![A-Za-z0-9_])", "(?![A-Za-z0-9_])"
    exact = (_any_of(lists["en"][kind], lists["zh"][kind], before, after) for kind in ("words", "allowed"))
    first_look = _any_of(lists["en"]["words"], lists["zh"]["words"], "(?:^|[^A-Za-z0-9_])", "(?:[^A-Za-z0-9_]|$)")
    return _Blacklist(first_look, *map(re.compile, exact))


def _any_of(english: Collection[str], chinese: Collection[str], before: str, after: str) -> str:
    return "|".join([f"{before}(?i:{'|'.join(map(re.escape, english))}){after}", *map(re.escape, chinese)])
