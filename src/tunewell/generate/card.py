"""The data card: what a person must know of generated rows before using them, as a README for a folder or the Hugging Face hub."""

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, StrictUndefined, Template

from tunewell.bundled import asset, read_yaml
from tunewell.records import Example, example_to_row

_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
_NOT_IN_CODE = re.compile(r"[^\w.-]+")
_HUB_CATEGORIES = {
    "doc2qa": "question-answering",
    "real_qa": "question-answering",
    "cot": "question-answering",
    "paraphrase": "question-answering",
    "summary": "summarization",
    "similarity": "sentence-similarity",
}
_HUB_SIZES = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M", 10**7: "1M<n<10M", 10**8: "10M<n<100M"}


class _Own(str):
    """Text of the card itself, in which Markdown may mean something; any other text is escaped where it is filled in."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


class _Failure(NamedTuple):
    task: str
    what: _Own
    reason: str
    code: _Own
    pieces: int


def data_card(
    account: Mapping[str, Any],
    *,
    title: str,
    language: str = "en",
    examples: Sequence[Example] = (),
) -> str:
    """The card of the rows that a run generated, in Markdown with the front matter that the Hugging Face hub reads.

    Args:
        account: what `generate` counted, and perhaps what a review has found (`review`): the JSON of `account.json`.
        title: name of the data.
        language: language of the card, `en` or `zh`.
        examples: rows to show, one or two.
    """
    words = _Words(read_yaml("generate", "words.yaml")[language])
    tasks, replay = account["tasks"], account["replay"]
    made = sum(task["kept"] for task in tasks)
    values = {
        **account,
        "title": title,
        "front_matter": _Own(_front_matter(account, title, made + replay["rows"])),
        "made": made,
        "rows": made + replay["rows"],
        "say": words.say,
        "called": words.called,
        "name": lambda task: words.task(task, "name"),
        "how": lambda task: words.task(task, "how"),
        "languages": words.languages,
        "money": lambda cost: _money(cost, account["currency"]),
        "share": _share,
        "common": _common,
        "code": _code,
        "failures": list(_failures(tasks, words)),
        "shown": [_as_json(example) for example in examples],
        "limits": list(_limits(tasks, account.get("review"), words)),
    }
    text = _template().render(values)
    # Rows can hold lone surrogates, which UTF-8 cannot.
    return text.encode("utf-8", "replace").decode("utf-8")


class _Words(NamedTuple):
    table: Mapping[str, Any]

    def say(self, key: str, **values: Any) -> _Own:
        return _Own(self.table["card"][key].format(**{name: _escaped(value) for name, value in values.items()}))

    def called(self, code: str) -> str:
        named = self.table["reasons"] | self.table["failures"]
        return str(named.get(code, code.replace("_", " ")))

    def task(self, task: Mapping[str, Any], key: str) -> _Own:
        return _Own(self.table["tasks"][task["task"]][key])

    def languages(self, task: Mapping[str, Any]) -> str:
        return ", ".join(f"{code or self.say('undecided')} {_number(rows)}" for code, rows in _common(task["languages"]))


def _front_matter(account: Mapping[str, Any], title: str, rows: int) -> str:
    tasks = account["tasks"]
    spoken = sum((Counter(task["languages"]) for task in tasks), Counter[str]())
    values = {
        "pretty_name": " ".join(title.split()),
        "language": [code for code, _ in _common(spoken) if code],
        "license": "other",
        "license_name": "see-sources-and-terms-of-the-teacher",
        "size_categories": [next((name for limit, name in _HUB_SIZES.items() if rows < limit), "n>100M")],
        "task_categories": sorted({_HUB_CATEGORIES.get(task["task"], "text-generation") for task in tasks} | {"text-generation"}),
        "tags": ["synthetic", "tunewell"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "examples/*.parquet"}]}],
    }
    known = {key: value for key, value in values.items() if value}
    return yaml.safe_dump(known, allow_unicode=True, sort_keys=False, width=10_000)


def _failures(tasks: Sequence[Mapping[str, Any]], words: _Words) -> Iterator[_Failure]:
    for task in tasks:
        for outcome in ("failed", "skipped"):
            for code, count in _common(task[outcome]):
                name, what = words.task(task, "name"), words.say(f"is_{outcome}")
                yield _Failure(name, what, words.called(code), _code(code), count)


def _limits(tasks: Sequence[Mapping[str, Any]], review: Mapping[str, Any] | None, words: _Words) -> Iterator[_Own]:
    if tasks:
        yield from map(words.say, ("limit_checks", "limit_teacher", "limit_sources"))
    for task in tasks:
        if task["kept"] < task["asked"]:
            yield words.say("limit_short", task=words.task(task, "name"), kept=task["kept"], asked=task["asked"])
    if review is None:
        yield words.say("limit_no_review")
    else:
        shares = {name: _percent(review[name]) for name in ("value", "low", "high")}
        counts = {name: review[name] for name in ("n", "population", "reviewers")}
        yield words.say("error_rate_mean" if review["reviewers"] > 1 else "error_rate", **counts, **shares)


def _as_json(example: Example) -> _Own:
    """A row as JSON. Line breaks and `<` are escaped in it, so that it can neither end its fence nor hold markup."""
    row = example_to_row(example) | {"evidence": dict(example.evidence)}
    return _Own(json.dumps(row, ensure_ascii=False, indent=2).replace("<", "\\u003c"))


def _common(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _code(code: str) -> _Own:
    return _Own(f"`{_NOT_IN_CODE.sub('', code)}`")


def _share(part: int, whole: int) -> _Own:
    return _percent(part / whole if whole else None)


def _percent(share: float | None) -> _Own:
    return _Own("–" if share is None else f"{100 * share:.1f} %")


def _money(cost: float | None, currency: str) -> str:
    return "–" if cost is None else f"{cost:,.4f} {currency}".strip()


def _number(value: int) -> str:
    return f"{value:,}"


def _escaped(value: Any) -> _Own:
    r"""A value in which neither Markdown nor HTML finds anything to interpret.

    >>> _escaped("a|b <b>"), _escaped(1234), _escaped(_Own("**own**"))
    ('a\\|b &lt;b&gt;', '1,234', '**own**')
    """
    if isinstance(value, _Own):
        return value
    text = _number(value) if isinstance(value, int) else str(value)
    return _Own(_SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False)))


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(asset("generate", "card.md.j2").read_text(encoding="utf-8"))
