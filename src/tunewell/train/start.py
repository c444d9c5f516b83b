"""What training starts from: the base, an adapter that is trained on, or the base with an adapter folded in."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from tunewell.model.lineage import LINEAGE, MERGED, ancestors, check_lineage, find_adapter
from tunewell.model.load import load_tokenizer, save_folded
from tunewell.store import atomic_folder
from tunewell.template import PromptFormat, check_contract
from tunewell.template.contract import CONTRACT

_log = logging.getLogger(__name__)


class Start(NamedTuple):
    """What training starts from: the base it works on, the adapter it trains on, if any, and the chain of parents."""

    how: Literal["base", "continue", "merge"]
    base: Path
    adapter: Path | None
    parents: list[dict[str, Any]]


def prepare_start(
    start: str | Mapping[Any, str], base: Path, chat: PromptFormat, tokenizer: PreTrainedTokenizerBase, *, out_dir: Path
) -> Start:
    """Find what a recipe's `train.start` names, refuse what does not belong together, and fold what is to be folded.

    A base with an adapter folded in is written to `merged/`, in float32 and whole, so that every later command has a base for
    the new adapter. Raises `ModelError` where the adapter was trained on another base, `TemplateError` where it was trained under
    another template.
    """
    if isinstance(start, str):
        return Start("base", base, None, [])
    [(how, path)] = start.items()
    adapter = find_adapter(Path(path))
    beside = adapter.parent / MERGED
    own_base = beside if beside.is_dir() else base
    _check(adapter, own_base, chat, tokenizer)
    parents = ancestors(adapter, how)
    merged = out_dir / MERGED
    if how == "merge":
        if not merged.is_dir():
            with atomic_folder(merged) as folder:
                save_folded(own_base, adapter, folder)
                load_tokenizer(own_base).save_pretrained(folder)
        return Start("merge", merged, None, parents)
    if own_base == beside:
        if not merged.is_dir():
            with atomic_folder(merged) as folder:
                shutil.copytree(beside, folder, dirs_exist_ok=True)
        own_base = merged
    return Start("continue", own_base, adapter, parents)


def _check(adapter: Path, base: Path, chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    """An adapter that tells its base or its template is held to it; a foreign one, which tells nothing, is taken with a warning."""
    if (adapter / LINEAGE).exists():
        check_lineage(adapter, base)
    if (adapter / CONTRACT).exists():
        check_contract(adapter, chat, tokenizer)
    missing = [name for name in (LINEAGE, CONTRACT) if not (adapter / name).exists()]
    if missing:
        message = "%s holds no %s: that it belongs to this base and this template is taken on trust"
        _log.warning(message, adapter, " and no ".join(missing))
