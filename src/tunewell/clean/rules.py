"""The rules of cleaning, in the order in which they are applied: each says why a row is dropped, or nothing.

A rule is a pure function that returns what it saw (the detail kept with the dropped row) or None where the row may stay. Its
name is the reason that stands in `dropped` and in the funnel.
"""

import re
from collections.abc import Callable, Collection, Mapping, Set
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from tunewell.clean.keys import conversation_key, question_key
from tunewell.records import Example

RULES = (
    "empty",
    "too_short",
    "too_long",
    "language",
    "blacklist",
    "control_tokens",
    "contamination",
    "duplicate",
    "contradiction",
    "novelty",
)
"""Every reason there is, in the order in which the rules are applied: a row is dropped by the first that finds something."""


class Rule(NamedTuple):
    """A reason, and the check that gives it: what it saw, or None where the row may stay."""

    reason: str
    check: Callable[[Example], str | None]


_CONTROL_TOKEN = re.compile(
    r"""
      <\|[A-Za-z_][\w .:/-]{0,40}\|>                            # <|im_start|> <|eot_id|> <|user|>
    | <｜[^｜<>]{1,40}｜>                                        # the same with full-width bars
    | \[/?INST\] | <</?SYS>>
    | </?s> | <(?:bos|eos|pad|unk)>
    | <(?:start|end)_of_turn>
    | </?(?:think|tool_call|tool_response)>
    | \[gMASK\] | <sop>
    | <reserved_\d+>
    """,
    re.VERBOSE,
)


def empty(example: Example) -> str | None:
    """A conversation without a question or an answer.

    What it drops: rows with no user turn, no assistant turn, or a user or assistant turn that is blank.
    Why: there is nothing to learn from a blank answer but silence.
    Example: `{"question": "When is payout?", "answer": "  "}`.
    Known problems: a turn of a single zero-width character is not blank to Python and stays.
    Source: `filter_invalid_instances` of self-instruct (`prepare_for_finetuning.py`) drops empty outputs.
    """
    for role, name in (("user", "question"), ("assistant", "answer")):
        texts = _texts(example, role)
        if not texts:
            return f"no {name}"
        if not all(text.strip() for text in texts):
            return f"blank {name}"
    return None


def too_short(example: Example, *, min_chars: int) -> str | None:
    """A question or an answer of too few characters.

    What it drops: rows whose first question, or any answer, has fewer than `clean.min_chars` characters without outer space.
    Why: "k" or "?" says nothing on its own.
    Example: `{"question": "?", "answer": "How can I help?"}`.
    Known problems: a right answer can be one character long (`7`, `是`). Later questions of a conversation are not measured,
    since "y" answers a question of the assistant.
    Source: the length bounds of Stanford Alpaca (`generate_instruction.py`), by characters so that Chinese is measured too.
    """
    texts = [("question", example.question), *(("answer", text) for text in _texts(example, "assistant"))]
    found = next(((name, len(text.strip())) for name, text in texts if len(text.strip()) < min_chars), None)
    return f"{found[0]} has {found[1]} characters, fewer than {min_chars}" if found else None


def too_long(example: Example, *, max_chars: int) -> str | None:
    """A question or an answer of too many characters.

    What it drops: rows with a user or assistant turn of more than `clean.max_chars` characters without outer space.
    Why: such rows are mostly pasted logs or pages, and would not fit the context of training.
    Example: an answer that holds a whole terms-of-service page.
    Known problems: characters are not tokens; `train.context` decides afterwards, and lists what it leaves out.
    Source: as for `too_short`.
    """
    texts = [(name, text) for role, name in (("user", "question"), ("assistant", "answer")) for text in _texts(example, role)]
    found = next(((name, len(text.strip())) for name, text in texts if len(text.strip()) > max_chars), None)
    return f"{found[0]} has {found[1]} characters, more than {max_chars}" if found else None


def language(example: Example, *, languages: Collection[str]) -> str | None:
    """A row in a language that is not wanted.

    What it drops: rows whose language is none of `clean.languages`; with no languages given, none.
    Why: a model tuned on one language answers better in it without stray rows of another.
    Example: a Chinese question where `clean.languages` is `[en]`.
    Known problems: rows of undecided language (numbers, code) are kept, and the language is told by script alone.
    Source: the language filter of datatrove (`filters/language_filter.py`), with the script in place of a classifier.
    """
    unwanted = bool(languages) and bool(example.language) and example.language not in languages
    return f"language is {example.language}" if unwanted else None


def blacklist(example: Example) -> str | None:
    """A question that asks for what a text model cannot do: pictures, charts, sound.

    What it drops: rows in which a user turn holds a word of `assets/clean/blacklist.yaml`: whole English words in any case,
    Chinese substrings. Its `allowed` phrases ("chart of accounts") are taken out before the search.
    Why: the honest answer is "I cannot", and the answer that stands there makes the model pretend it can.
    Example: "Draw a diagram of the payment flow", "给我画一张流程图".
    Known problems: "Can I send a photo of my passport?" is dropped though it can be answered: read `dropped`, or set
    `clean.blacklist: false`. Words that are ordinary in support (file, link, "go to", screenshot, 文件, 链接, 截图), which
    the sources list, are left out on purpose.
    Source: self-instruct (`bootstrap_instructions.py`), Stanford Alpaca (`generate_instruction.py`), BELLE
    (`generate_instruction.py`).
    """
    words, allowed = _blacklist()
    # Few questions hold such a word; only those are searched again without the allowed phrases.
    texts = (allowed.sub(" ", text) for text in _texts(example, "user") if words.search(text))
    found = next(filter(None, map(words.search, texts)), None)
    return f"asks for: {found.group().lower()}" if found else None


def control_tokens(example: Example) -> str | None:
    """Control tokens of a chat format in the text of a message.

    What it drops: rows in which any message holds `<|…|>`, `[INST]`, `<s>`, `</s>`, `<start_of_turn>`, `<think>` and the like.
    Why: a tokenizer may read them as turn boundaries, so that a row ends early or speaks for the other side; mostly they are
    the remains of a template that was applied once already.
    Example: `{"answer": "Within two days.<|im_end|>"}`.
    Known problems: a row about chat formats or HTML (`<s>` strikes text through) is dropped as well.
    Source: the prompt formats of ChatML, Llama 2 and 3, Gemma, ChatGLM, Baichuan and DeepSeek.
    """
    found = next(filter(None, (_CONTROL_TOKEN.search(message.content) for message in example.messages)), None)
    return f"holds {found.group()}" if found else None


def contamination(example: Example, *, families: Mapping[str, str]) -> str | None:
    """A question that will be asked in the test, or a row of the same family.

    What it drops: every row of a family in which the first question of some row equals a `paraphrase` or `unseen` test question,
    or has a ROUGE-L F1 above 0.7 with it. `seen` test questions are meant to be trained on.
    Why: a score on questions the model has been trained on proves nothing.
    Example: "How do I refund a payment?" where the test asks "How do I refund the payment?".
    Known problems: a reworded question with few words in common passes; a test item that opens with a greeting drops the rows
    that open with it.
    Source: the decontamination steps of datatrove and open-instruct, with ROUGE-L in place of n-grams.
    """
    return families.get(example.family)


def duplicate(example: Example, *, kept: Mapping[int, str]) -> str | None:
    """A conversation that was kept before.

    What it drops: rows whose whole conversation, roles and texts after `text.normalise`, is that of an earlier kept row.
    Why: a row that stands there twice is learnt twice as hard, by no one's decision.
    Example: "Where is my payout?" and "where is my  payout?" with the same answer.
    Known problems: where case or width carries meaning ("us", "US"), two rows count as one.
    Source: the exact deduplication of self-instruct (`prepare_for_finetuning.py`), here after normalising.
    """
    name = kept.get(conversation_key(example))
    return f"same conversation as {name}" if name is not None else None


def contradiction(example: Example, *, questions: Set[int]) -> str | None:
    """A question that stands there with different answers.

    What it drops: every single-turn row whose question and system text occur with more than one answer, all of them compared
    after `text.normalise`. None is kept, for nothing says which is right.
    Why: the model would learn to mix the answers.
    Example: "What is the fee?" answered with "1 %" in one row and "1.5 %" in another.
    Known problems: two right answers in different words count as different.
    Source: `filter_duplicate_instances` of self-instruct (`prepare_for_finetuning.py`): where two instances share their input
    but not their output, all instances are dropped.
    """
    contradicts = example.turns == "single" and question_key(example) in questions
    return "the same question has different answers" if contradicts else None


def novelty(example: Example, *, rivals: Callable[[Example], str | None], threshold: float) -> str | None:
    """A question near to one that was kept before.

    What it drops: rows whose first question has a ROUGE-L F1 above `clean.novelty` with the first question of an earlier kept
    row of the same pool. At exactly the threshold a row is kept.
    Why: near-copies crowd out what is rare.
    Example: "How do refunds work?" after "And how do refunds work?".
    Known problems: it depends on the order of rows. Short questions that differ in the one word that matters ("How do I open
    an account?", "How do I close an account?") are near: raise `clean.novelty`, or set it to 1 to turn the rule off.
    Source: the filter of self-instruct and Stanford Alpaca (`generate_instruction.py`); see `novelty.py` for what differs.
    """
    rival = rivals(example)
    return f"ROUGE-L F1 above {threshold:g} with {rival}" if rival is not None else None


def _texts(example: Example, role: str) -> list[str]:
    return [message.content for message in example.messages if message.role == role]


class _Blacklist(NamedTuple):
    words: re.Pattern[str]
    allowed: re.Pattern[str]


@cache
def _blacklist() -> _Blacklist:
    lists = yaml.safe_load((files("tunewell") / "assets" / "clean" / "blacklist.yaml").read_text(encoding="utf-8"))
    return _Blacklist(*(_any_of(lists["en"][kind], lists["zh"][kind]) for kind in ("words", "allowed")))


def _any_of(english: Collection[str], chinese: Collection[str]) -> re.Pattern[str]:
    # `\b` knows no boundary between Latin and Han letters, and "photo照片" is two words.
    whole_words = rf"(?<![A-Za-z0-9_])(?i:{'|'.join(map(re.escape, english))})(?![A-Za-z0-9_])"
    return re.compile("|".join([whole_words, *map(re.escape, chinese)]))
