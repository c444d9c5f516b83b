"""Rows that ask nothing by themselves: our own words, from `assets/collect/prompts.yaml`, make a question of them.

Words are in the language of the row. A text that is filled in is never read as part of a pattern itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.collect.fields import Row, first_key, text_at, type_name
from tunewell.collect.problems import RowError
from tunewell.text import language

_REFERENCE_KEYS = ("laws", "law", "reference", "references", "context", "contexts", "passages", "法条", "参考资料", "依据")
_PASSAGE_KEYS = ("text", "content", "context", "passage")
_TEXT_KEYS = ("text", "sentence", "content", "utterance", "review", "文本", "内容", "评论")
_CLASS_KEYS = ("label", "category", "intent", "class", "sentiment", "标签", "类别", "意图")
_LABEL_KEYS = ("label", "gold_label", "is_duplicate", "labels", "标签")
_PAIR_KEYS = (
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("sentence_1", "sentence_2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("question1", "question2"),
    ("query1", "query2"),
    ("句子1", "句子2"),
    ("premise", "hypothesis"),
)
# Numbers mean relations here, and which is for each data set to say.
_RELATION_KEYS = ("premise", "hypothesis")


class Asked(NamedTuple):
    """A question made of a row, and its answer."""

    question: str
    answer: str


def has_reference(row: Row) -> bool:
    """Whether a row has material to answer from."""
    return bool(first_key(row, _REFERENCE_KEYS))


def with_reference(row: Row, question: str) -> str:
    """The question below the row's material, if there is any: a text, or several, each with its number in front.

    Raises `RowError` with the reason `wrong_type`.
    """
    key = first_key(row, _REFERENCE_KEYS)
    passages = [passage.strip() for passage in _passages(key, row[key]) if passage.strip()]
    if not passages:
        return question
    numbered = [f"[{number}] {passage}" for number, passage in enumerate(passages, start=1)]
    reference = "\n".join(numbered) if len(passages) > 1 else passages[0]
    return _words("reference", question, reference=reference, question=question)


def is_pair(row: Row) -> bool:
    """Whether a row holds two sentences and what they are to each other."""
    return bool(_pair_keys(row) and first_key(row, _LABEL_KEYS))


def pair(row: Row) -> Asked:
    """Whether two sentences mean the same: yes or no; or in a word how they relate, where the label says that.

    Raises `RowError` with the reason `unlabelled`, `empty` or `wrong_type`.
    """
    keys = _pair_keys(row)
    first, second = (_filled(row, key) for key in keys)
    key = first_key(row, _LABEL_KEYS)
    label = _label(row, key)
    known = read_yaml("collect", "prompts.yaml")["labels"]
    if label.lower() in known["none"]:
        raise RowError("unlabelled", f"`{key}` is `{label}`: nobody has judged this pair")
    answer = next((word for word in ("yes", "no") if label.lower() in known[word]), "")
    is_number = label.lstrip("+-").replace(".", "", 1).isdecimal()
    if is_number and (not answer or keys == _RELATION_KEYS):
        what = "relations are expected in words" if keys == _RELATION_KEYS else "0, 1 or a word is expected"
        raise RowError("wrong_type", f"`{key}` is {label} where {what}")
    sample = first + second
    if answer and keys != _RELATION_KEYS:
        return Asked(_words("same", sample, first=first, second=second), _words(answer, sample))
    return Asked(_words("relation", sample, first=first, second=second), label)


def is_labelled_text(row: Row) -> bool:
    """Whether a row holds a text and its class."""
    return bool(first_key(row, _TEXT_KEYS) and first_key(row, _CLASS_KEYS))


def labelled_text(row: Row) -> Asked:
    """Which class a text belongs to. Raises `RowError` with the reason `unlabelled`, `empty` or `wrong_type`."""
    text = _filled(row, first_key(row, _TEXT_KEYS))
    key = first_key(row, _CLASS_KEYS)
    label = _label(row, key)
    if not label:
        raise RowError("unlabelled", f"`{key}` is empty: nobody has judged this text")
    return Asked(_words("classification", text, text=text), label)


def is_reading(row: Row) -> bool:
    """Whether a row is a question on a text, with a list of answers, or a whole article of them."""
    return "paragraphs" in row or ("context" in row and "question" in row and isinstance(row.get("answers"), dict | list))


def readings_of(row: Row) -> Iterator[Row]:
    """The questions of an article `{paragraphs: [{context, qas: [{question, answers}]}]}`, each as a row of its own.

    What is malformed comes out as a row that `reading` refuses.
    """
    for number, paragraph in enumerate(_objects(row["paragraphs"]), start=1):
        if paragraph is None or "qas" not in paragraph:
            yield {"paragraphs": f"paragraph {number}"}
            continue
        for asked in _objects(paragraph["qas"]):
            if asked is None:
                yield {"paragraphs": f"paragraph {number}"}
            else:
                yield {**asked, "context": paragraph.get("context"), "answers": asked.get("answers") or []}


def reading(row: Row) -> Asked:
    """A question on a text, with the first of its answers.

    Raises `RowError` with the reason `unanswerable`, `missing_keys`, `empty` or `wrong_type`.
    """
    if "paragraphs" in row:
        place = row["paragraphs"] if isinstance(row["paragraphs"], str) else "`paragraphs`"
        raise RowError("wrong_type", f"{place} is no object with `context` and `qas`, or not a list of them")
    context, question = _filled(row, "context"), _filled(row, "question")
    answers = _answers(row["answers"])
    if row.get("is_impossible") is True or not answers:
        raise RowError("unanswerable", f"the text does not answer the question `{question[:80]}`")
    if not isinstance(answers[0], str):
        raise RowError("wrong_type", f"`answers` holds {type_name(answers[0])} where text is expected")
    return Asked(_words("reading", question, context=context, question=question), answers[0])


def _words(name: str, sample: str, **parts: str) -> str:
    words = read_yaml("collect", "prompts.yaml")["zh" if language(sample) == "zh" else "en"]
    return str(words[name]).format(**parts)


def _filled(row: Row, key: str) -> str:
    text = text_at(row, key).strip()
    if not text:
        raise RowError("empty", f"`{key}` is empty")
    return text


def _pair_keys(row: Row) -> Sequence[str]:
    return next((keys for keys in _PAIR_KEYS if keys[0] in row and keys[1] in row), ())


def _label(row: Row, key: str) -> str:
    value = row[key]
    if isinstance(value, bool | int | float | str):
        return str(value).strip()
    if value is None:
        return ""
    raise RowError("wrong_type", f"`{key}` is {type_name(value)} where a label is expected")


def _passages(key: str, value: Any) -> Iterator[str]:
    for passage in value if isinstance(value, list) else [value]:
        text = passage.get(first_key(passage, _PASSAGE_KEYS), passage) if isinstance(passage, dict) else passage
        if not isinstance(text, str | None):
            raise RowError("wrong_type", f"`{key}` holds {type_name(text)} where text is expected")
        yield text or ""


def _objects(value: Any) -> list[Row | None]:
    if not isinstance(value, list):
        return [None]
    return [member if isinstance(member, dict) else None for member in value]


def _answers(value: Any) -> list[Any]:
    texts = value.get("text") if isinstance(value, dict) else value
    if not isinstance(texts, list):
        return [texts]
    return [answer.get("text") if isinstance(answer, dict) else answer for answer in texts]
