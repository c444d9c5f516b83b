"""Which old layout a checkpoint has, by its config alone."""

from collections.abc import Mapping
from typing import Any

from tunewell.errors import ModelError
from tunewell.model.convert import baichuan, chatglm
from tunewell.model.convert.layout import Layout, OldConfig, holds

LAYOUTS = (baichuan.BAICHUAN, baichuan.BAICHUAN2, chatglm.CHATGLM)
_REFUSED = (*baichuan.REFUSED, *chatglm.REFUSED)


def detect(config: OldConfig, *, where: str) -> Layout:
    """The layout of a checkpoint. Raises `ModelError` where it is unknown, or known and not to be converted."""
    for refusal in _REFUSED:
        if holds(config, refusal.signs):
            raise ModelError(refusal.what, where=where, hint=refusal.hint)
    for layout in LAYOUTS:
        if holds(config, layout.signs):
            _check_assumptions(config, layout, where=where)
            return layout
    seen = ", ".join(f"{key} {config[key]!r}" for key in ("model_type", "architectures", "vocab_size") if key in config)
    known = "; ".join(f"{layout.name} ({_in_words(layout.signs)})" for layout in LAYOUTS)
    hint = f"known are {known}. A layout that transformers has a class for needs no conversion."
    raise ModelError(f"unknown layout: {seen or 'the config names none'}", where=where, hint=hint)


def new_config(config: OldConfig, layout: Layout, *, where: str) -> dict[str, Any]:
    """The values of the new class's config. Raises `ModelError` where the old config lacks one."""
    missing = [old for old in layout.config_keys.values() if old not in config]
    if missing:
        hint = f"a checkpoint of {layout.name} has these keys; take config.json from the original"
        raise ModelError(f"the config lacks {', '.join(missing)}", where=where, hint=hint)
    return {new: config[old] for new, old in layout.config_keys.items()} | dict(layout.config_values)


def _check_assumptions(config: OldConfig, layout: Layout, *, where: str) -> None:
    # A ratio means interpolated positions in ChatGLM2-6B-32K and a larger base in ChatGLM3-6B-32K; only their code tells which.
    assumed = {**layout.assumed, "rope_ratio": 1}
    wrong = {key: config[key] for key, value in assumed.items() if config.get(key, value) != value}
    if wrong:
        hint = f"{layout.name} is converted only with {_in_words({key: assumed[key] for key in wrong})}"
        raise ModelError(f"this variant of {layout.name} is not supported: {_in_words(wrong)}", where=where, hint=hint)


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value!r}" for key, value in values.items())
