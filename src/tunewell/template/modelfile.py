"""A family as an Ollama Modelfile."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunewell.errors import TemplateError
from tunewell.template.family import Family, Piece, Pieces
from tunewell.template.jinja import merged

_IS_HISTORY = "gt (len (slice $.Messages $i)) 1"
_IS_LAST_QUESTION = "(le (len (slice $.Messages $i)) 2)"
_FIELDS = {"system": "{{ $.System }}", "user": "{{ .Content }}", "assistant": "{{ .Content }}"}
_BOS_NAMES = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")
_NO_TRIM = (
    "# This format takes white space from the ends of a message, which no template of Ollama can do: send messages without it.\n"
)
_NO_SYSTEM = "# This format has no place for a system text: Ollama leaves one out without a word.\n"


def modelfile_of(
    family: Family, names: Mapping[Piece, str], *, source: str, adapter: str = "", system: str = "", context: int | None = None
) -> str:
    """The family as a Modelfile over the weights in `source` (a GGUF file, a folder or a model of Ollama).

    The template writes what `text_of` writes, but for a beginning-of-sequence token in front, which Ollama puts there itself.
    `system` stands for the family's default system text, `context` is the window in tokens, and every text that ends an answer
    becomes a stop.

    It was not run against Ollama, whose template engine (Go's text/template) alone was tried. Known problems: an empty system text
    is left out, contents are not trimmed, and a system text that a format has no place for is lost.

    Raises `TemplateError` for what that language cannot say: rounds, an instruction apart from its input, answers without
    their thoughts.
    """
    _refuse_unsayable(family, system)
    notes = (_NO_TRIM if family.trim else "") + ("" if family.takes_system else _NO_SYSTEM)
    default = system or (family.default_system if family.takes_system else "")
    lines = [
        f"{notes}FROM {source}",
        *([f"ADAPTER {adapter}"] if adapter else []),
        *([f"PARAMETER num_ctx {context}"] if context else []),
        *(f'PARAMETER stop "{stop}"' for stop in _stops(family, names)),
        *([f"SYSTEM {_block(default)}"] if default else []),
        f"TEMPLATE {_block(_template(_without_bos(family, names), names))}",
    ]
    return "\n".join(lines) + "\n"


def _refuse_unsayable(family: Family, system: str) -> None:
    if system and not family.takes_system:
        hint = "leave it out, or take a family with a system text"
        raise TemplateError(f"`{family.name}` has no place for a system text", where="template", hint=hint)
    parts = {
        "rounds (it does not count)": any(piece.kind == "round" for piece in family.turn + family.single),
        "`with_input` (it does not split a text)": bool(family.with_input),
        "`past_reasoning: drop` (it does not cut a text)": family.past_reasoning != "keep",
    }
    if unsayable := [part for part, is_used in parts.items() if is_used]:
        hint = "llama.cpp and vLLM read the chat template; or take that out of a copy of the family's file, if your data do without"
        problem = f"Ollama's template language cannot say `{family.name}`: {', '.join(unsayable)}"
        raise TemplateError(problem, where="template", hint=hint)


def _stops(family: Family, names: Mapping[Piece, str]) -> list[str]:
    own = {piece.text: names.get(piece, piece.text) for piece in family.tokens}
    end = "".join(names.get(piece, piece.text) for piece in family.end)
    return list(dict.fromkeys([end, *(own.get(stop, stop) for stop in family.stop)]))


def _without_bos(family: Family, names: Mapping[Piece, str]) -> Family:
    """The family without the beginning-of-sequence token in front of a conversation; it stays in front of later turns."""
    if _is_bos(family.prefix[:1], names):
        return replace(family, prefix=family.prefix[1:])
    if family.prefix or family.system or not _is_bos(family.turn[:1], names):
        return family
    forms: dict[str, Pieces] = {key: getattr(family, key) for key in ("first", "last", "single", "turn")}
    kept: dict[str, Any] = {key: pieces[1:] if _is_bos(pieces[:1], names) else pieces for key, pieces in forms.items()}
    return replace(family, between=family.between + family.turn[:1], **kept)


def _is_bos(front: Pieces, names: Mapping[Piece, str]) -> bool:
    specials = ("bos", "added_bos")
    return any(
        piece.value in specials if piece.kind == "special" else names.get(piece, piece.text) in _BOS_NAMES for piece in front
    )


def _template(family: Family, names: Mapping[Piece, str]) -> str:
    system = {".System": _written(family.system, names)} if family.system else {}
    body = _chosen({'eq .Role "user"': _question(family, names), 'eq .Role "assistant"': _answer(family, names)})
    messages = "$i, $_ := .Messages" if "$i" in body else ".Messages"
    return f"{_written(family.prefix, names)}{_chosen(system)}\n{{{{- range {messages} }}}}{body}\n{{{{- end }}}}"


def _question(family: Family, names: Mapping[Piece, str]) -> str:
    forms = {
        f"and (le $i 1) {_IS_LAST_QUESTION}": family.single,
        "and $.System (eq $i 1)": family.first,
        f"and $.System {_IS_LAST_QUESTION}": family.last,
        "": family.turn,
    }
    question = _chosen({condition: _written(pieces, names) for condition, pieces in forms.items() if pieces})
    suffix = _written(family.suffix, names)
    condition = f"and (gt $i 1) {_IS_LAST_QUESTION}" if family.single else _IS_LAST_QUESTION
    return question + _chosen({condition: suffix} if suffix else {})


def _answer(family: Family, names: Mapping[Piece, str]) -> str:
    if family.past_end is None:
        between = _written(family.between, names)
        return _written(family.answer + family.end, names) + _chosen({_IS_HISTORY: between} if between else {})
    history = _written(family.past_end + family.between, names)
    return _written(family.answer, names) + _chosen({_IS_HISTORY: history, "": _written(family.end, names)})


def _chosen(choices: Mapping[str, str]) -> str:
    """Texts by their conditions as one `if`; a text without a condition comes last, and needs no `if` where it is alone."""
    if not choices or list(choices) == [""]:
        return choices.get("", "")
    tests = [f"if {condition}" if condition else "" for condition in choices]
    tags = [tests[0], *(f"else {test}".rstrip() for test in tests[1:])]
    branches = [f"\n{{{{- {tag} }}}}{text}" for tag, text in zip(tags, choices.values(), strict=True)]
    return "".join([*branches, "\n{{- end }}"])


def _written(pieces: Pieces, names: Mapping[Piece, str]) -> str:
    """Pieces as template text that may stand in front of a trimming `{{-`: white space at its end is written as a string."""
    parts = merged(pieces, names)
    texts = [_literal(part) if isinstance(part, str) else _FIELDS[str(part.value)] for part in parts]
    written = "".join(texts)
    kept = written.rstrip()
    return kept + (f"{{{{ {_go_string(written[len(kept) :])} }}}}" if kept != written else "")


def _literal(text: str) -> str:
    is_plain = "{{" not in text and '"""' not in text and not text.rstrip().endswith("{") and _is_kept(text)
    return text if is_plain else f"{{{{ {_go_string(text)} }}}}"


def _go_string(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def _block(text: str) -> str:
    """A value of several lines. Raises `TemplateError` where a Modelfile cannot hold it."""
    if '"""' in text or not _is_kept(text):
        hint = "leave out three quotes in a row, and control signs and rare spaces"
        raise TemplateError("the text cannot stand in a Modelfile", where="template", hint=hint)
    return f'"""{text}"""'


def _is_kept(text: str) -> bool:
    """Whether Ollama reads the text as it stands: signs that do not print are lost."""
    return all(sign.isprintable() or sign in "\n\t" for sign in text)
