"""Answers made to obey given kinds of constraints, to show that the kinds do not contradict each other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

_WORDS = {
    "en": {
        "filler": "work ",
        "other_language": "办",
        "include_word": "happy ",
        "repeat_word": "team team ",
        "first_finally": "first finally ",
        "parenthesis": "(now) ",
        "bold_phrase": "**now** ",
        "start_with": "Certainly ",
        "title": "<<Title>>\n",
        "heading": "# Title\n",
        "end_with": "have a nice day",
        "postscript": "\nP.S. now",
        "quotes": '""',
        "stops": ".?",
    },
    "zh": {
        "filler": "办",
        "other_language": "work ",
        "include_word": "放心",
        "repeat_word": "及时及时",
        "first_finally": "首先最后",
        "parenthesis": "（首次）",
        "bold_phrase": "**首次**",
        "book_marks": "《规则》",
        "enumeration_comma": "甲、乙、丙",
        "start_with": "您好",
        "title": "《标题》\n",
        "heading": "# 标题\n",
        "end_with": "祝您顺利",
        "postscript": "\n注：首次",
        "quotes": "“”",
        "stops": "。？",
    },
}
_LABELS: dict[str, tuple[str, ...]] = {
    "numbered_list": ("1、", "2、", "3、"),
    "lettered_list": ("a) ", "b) ", "c) "),
    "han_numbered_list": ("一、", "二、", "三、"),
}
_LABELS["bullet_list"] = ("- ", "- ")
_INSERTED = ("include_word", "repeat_word", "first_finally", "parenthesis", "bold_phrase", "book_marks", "enumeration_comma")


def obey(kinds: Sequence[str], language: str) -> Iterator[str]:
    """Answers of several lengths that have everything the kinds ask for; for kinds that agree, one of them obeys all."""
    for count, size in product((3, 1, 2, 8), (7, 3, 6, 8, 12, 16, 25, 45, 60)):
        yield _answer(kinds, _WORDS[language], count, size)


def _answer(kinds: Sequence[str], words: Mapping[str, str], count: int, size: int) -> str:
    filler = words["other_language"] if "other_language" in kinds else words["filler"]
    sentences = [filler * size for _ in range(count)]
    sentences[0] = "".join(words[kind] for kind in _INSERTED if kind in kinds) + sentences[0]
    sentences[-1] += words["end_with"] if "end_with" in kinds else ""
    stops = [words["stops"][0]] * (count - 1) + [words["stops"]["end_question" in kinds]]
    text = _laid_out([sentence.strip() + stop for sentence, stop in zip(sentences, stops, strict=True)], kinds, filler)
    opening = "".join(words[kind] for kind in ("title", "heading", "start_with") if kind in kinds)
    text = opening + ("\n" if opening and not _LABELS.keys().isdisjoint(kinds) else "") + text
    text += words["postscript"] if "postscript" in kinds else ""
    text = text.upper() if "upper_case" in kinds else text.lower() if "lower_case" in kinds else text
    return words["quotes"][0] + text + words["quotes"][1] if "in_quotes" in kinds else text


def _laid_out(sentences: Sequence[str], kinds: Sequence[str], filler: str) -> str:
    text = " ".join(sentences)
    for kind in kinds:
        if kind in _LABELS and len(_LABELS[kind]) == len(sentences):
            return "\n".join(label + sentence for label, sentence in zip(_LABELS[kind], sentences, strict=True))
    if "two_paragraphs" in kinds:
        return sentences[0] + "\n\n" + " ".join(sentences[1:])
    if "json_object" in kinds:
        return json.dumps({"answer": text}, ensure_ascii=False)
    return f"| {filler} | {filler} |\n|---|---|\n| {text} | {filler} |" if "table" in kinds else text
