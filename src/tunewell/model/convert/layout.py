"""What is to be known about an old layout, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OldConfig = Mapping[str, Any]
"""The `config.json` of a checkpoint in an old layout."""


@dataclass(frozen=True, slots=True)
class TokenizerRules:
    """What the old tokenizer code did beyond `tokenizer.model`.

    `named` are the tokens with a role unless tokenizer_config.json says otherwise. `appended` are special tokens that the code
    numbered after the pieces of the file. `prefix` goes before every text; where tokenizer_config.json has `add_bos_token`, it
    decides whether. With `hidden`, a special token that is spelt out in a text is plain text.
    """

    named: Mapping[str, str]
    prefix: tuple[str, ...]
    appended: tuple[str, ...] = ()
    hidden: bool = False
    padding_side: str = "right"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a checkpoint of an old layout becomes one of a class of transformers.

    A config belongs to the layout if it holds all `signs`, and can be converted if every key of `assumed` has that value or is
    absent. In names of tensors `{n}` is the number of a layer. An old tensor's rows are cut into its new tensors in their order;
    how many rows each takes is the new class's to say. Tensors that are `recomputed` are made by the new class from its config;
    those of `unit_rows` are stored with every row at length 1.
    """

    name: str
    signs: Mapping[str, Any]
    assumed: Mapping[str, Any]
    config_type: str
    config_keys: Mapping[str, str]
    config_values: Mapping[str, Any]
    tensors: Mapping[str, tuple[str, ...]]
    tokenizer: TokenizerRules
    recomputed: frozenset[str] = field(default_factory=frozenset)
    unit_rows: frozenset[str] = field(default_factory=frozenset)

    def targets(self, name: str) -> tuple[str, ...]:
        """The new names of an old tensor in the order of its rows; none for a tensor that is unknown or recomputed."""
        general, number = _split_number(name)
        return tuple(new.replace("{n}", number) for new in self.tensors.get(general, ()))

    def is_recomputed(self, name: str) -> bool:
        """Whether the new class makes this tensor by itself."""
        return _split_number(name).general in self.recomputed


class Refusal(NamedTuple):
    """A layout that is recognised by its signs and cannot be converted, and why. A sign of None is a key that is absent."""

    signs: Mapping[str, Any]
    what: str
    hint: str


class _Numbered(NamedTuple):
    general: str
    number: str


def holds(config: OldConfig, signs: Mapping[str, Any]) -> bool:
    """Whether a config has every one of these values.

    >>> holds({"model_type": "baichuan"}, {"model_type": "baichuan", "max_position_embeddings": None})
    True
    """
    return all(config.get(key) == value for key, value in signs.items())


def _split_number(name: str) -> _Numbered:
    found = re.search(r"\.(\d+)\.", name)
    if not found:
        return _Numbered(name, "")
    return _Numbered(f"{name[: found.start(1)]}{{n}}{name[found.end(1) :]}", found[1])
