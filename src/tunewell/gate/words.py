"""The gate's words in English and Chinese, read from `assets/gate/claims.yaml`."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import yaml


class Text(NamedTuple):
    """One text in both languages of the report."""

    en: str
    zh: str


def claim_text(claim: str, *path: str) -> Text:
    """A text of a claim, such as `claim_text("retention", "title")`."""
    node = _asset()["claims"][claim]
    for key in path:
        node = node[key]
    return Text(**node)


def claim_names() -> list[str]:
    """The claims that have words, in the order in which they are shown."""
    return list(_asset()["claims"])


def sentence(name: str, **parts: Text | str | int) -> Text:
    """A sentence of the asset with its blanks filled in, each in the sentence's own language."""
    template = Text(**_asset()["sentences"][name])
    return Text(
        en=template.en.format(**{key: part.en if isinstance(part, Text) else part for key, part in parts.items()}),
        zh=template.zh.format(**{key: part.zh if isinstance(part, Text) else part for key, part in parts.items()}),
    )


def together(sentences: Sequence[Text]) -> Text:
    """Sentences one after another: English ones with a space between, Chinese ones without."""
    return Text(" ".join(text.en for text in sentences if text.en), "".join(text.zh for text in sentences))


def capitalised(text: Text) -> Text:
    """The text with its first letter large, for the start of a sentence."""
    return Text(text.en[:1].upper() + text.en[1:], text.zh)


def number(value: float, *, signed: bool = False) -> str:
    """Three decimals; never a negative zero.

    >>> number(0.31), number(0.31, signed=True), number(-0.0001)
    ('0.310', '+0.310', '0.000')
    """
    rounded = round(value, 3) + 0.0
    return f"{rounded:+.3f}" if signed and rounded else f"{rounded:.3f}"


def p_number(value: float) -> str:
    """A p value: two digits that count.

    >>> p_number(0.0312), p_number(1.0), p_number(0.0)
    ('0.031', '1', '0')
    """
    return f"{value:.2g}"


@cache
def _asset() -> dict[str, Any]:
    source = resources.files("tunewell") / "assets" / "gate" / "claims.yaml"
    asset: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return asset
