"""The prompt contract: conversations as the base model's own tokens, and which of them are trained."""

from typing import TYPE_CHECKING

from tunewell.template.compiled import FamilyFormat
from tunewell.template.contract import check_contract, open_contract, write_contract
from tunewell.template.conversation import EVERY_ANSWER, Loss, text_of
from tunewell.template.encoded import NOT_TRAINED, Encoded, first_difference, supervised
from tunewell.template.family import AUTO, Family, family_names, load_family
from tunewell.template.fit import Fitted, fit
from tunewell.template.goldens import Golden, golden_conversations
from tunewell.template.own import TokenizerFormat
from tunewell.template.protocol import PromptFormat
from tunewell.template.view import Span, spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "AUTO",
    "EVERY_ANSWER",
    "NOT_TRAINED",
    "Encoded",
    "Family",
    "FamilyFormat",
    "Fitted",
    "Golden",
    "Loss",
    "PromptFormat",
    "Span",
    "TokenizerFormat",
    "check_contract",
    "family_names",
    "first_difference",
    "fit",
    "golden_conversations",
    "load_family",
    "open_contract",
    "open_format",
    "spans",
    "supervised",
    "text_of",
    "write_contract",
]


def open_format(template: str, tokenizer: "PreTrainedTokenizerBase", *, where: str = "template") -> PromptFormat:
    """The prompt format that a recipe names: `auto` (the tokenizer's own chat template), a family's name, or a family's file.

    Raises `TemplateError` where there is no such family, or it does not go with the tokenizer.
    """
    if template == AUTO:
        return TokenizerFormat(tokenizer, where=where)
    return FamilyFormat(load_family(template), tokenizer, where=where)
