"""Prompt families as data: what stands around a system text, a question and an answer.

A family is one YAML file. Its pieces are text, `{token: NAME}` (a token by name), `{id: N, text: NAME}` (a token by id),
`{special: bos | eos | added_bos, text: NAME}` (the tokenizer's own; `added_bos` is there only where the tokenizer puts it in front
of its own accord), `{round: N}` (the number of the turn, counted from N) and `{content: system | user | assistant | instruction |
input}`. `text` is what a person sees where no tokenizer is at hand.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import yaml

from tunewell.bundled import FOLDER
from tunewell.errors import TemplateError
from tunewell.store import digest

Kind = Literal["text", "token", "id", "special", "round", "content"]
Content = Literal["system", "user", "assistant", "instruction", "input"]
ADDED_BOS = "added_bos"
_SPECIALS = ("bos", "eos", ADDED_BOS)
_TRIMMED = ("system", "user", "assistant")
_PAST_REASONING = ("keep", "drop", "cut")
_MOST_IDS = 2**32  # no tokenizer numbers its tokens further
AUTO = "auto"
"""The name of the tokenizer's own chat template, where a family's name could stand."""
_SHIPPED = FOLDER / "template"


class Piece(NamedTuple):
    """One piece of a family: its kind, its value (a text, a name, an id, the number of the first round), and how it is shown."""

    kind: Kind
    value: str | int
    text: str


Pieces = tuple[Piece, ...]
_ANSWER: Pieces = (Piece("content", "assistant", ""),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A prompt format. `turn` is everything from a question to where the model answers; `end` is what the model writes to stop.

    `prefix` stands once in front. `system` holds the system text (`default_system` where a conversation has none); `first` or
    `last` stands in its place where a format puts the system text inside the first or the last question. `single` is a
    conversation's only question where that looks unlike others, `with_input` a question whose first line is an instruction and
    whose other lines are its input, `suffix` what follows the last question alone. `past_end` stands in place of `end` after
    answers that are history by now, `between` before every later question. `trim` takes white space from the ends of contents:
    of all, or of those in a list. `past_reasoning: drop` leaves `<think>…</think>` and the line breaks after it out of answers that
    are history, `cut` leaves those line breaks. `stop` are the tokens a server must stop on.
    """

    name: str
    source: str
    notes: str = ""
    default_system: str = ""
    trim: bool | tuple[str, ...] = False
    past_reasoning: Literal["keep", "drop", "cut"] = "keep"
    prefix: Pieces = ()
    system: Pieces = ()
    first: Pieces = ()
    last: Pieces = ()
    single: Pieces = ()
    turn: Pieces
    with_input: Pieces = ()
    suffix: Pieces = ()
    answer: Pieces = _ANSWER
    end: Pieces
    past_end: Pieces | None = None
    between: Pieces = ()
    stop: tuple[str, ...] = ()

    @property
    def takes_system(self) -> bool:
        """Whether the format has a place for a system text."""
        return bool(self.system or self.first or self.last)

    @property
    def trims(self) -> frozenset[str]:
        """The contents whose ends are freed of white space."""
        return frozenset(_TRIMMED if self.trim is True else self.trim or ())

    def rewrites_history(self, *, has_system: bool) -> bool:
        """Whether an earlier question looks another way once it is history: then only the last answer can be trained."""
        return bool(self.single or self.suffix or (self.last and has_system))

    @property
    def tokens(self) -> list[Piece]:
        """All pieces that are one token, each once, in the order of the file."""
        parts: list[Pieces] = [getattr(self, key) or () for key in _PIECES]
        return list(dict.fromkeys(piece for part in parts for piece in part if piece.kind in ("token", "id", "special")))

    @property
    def hash(self) -> str:
        """32 hex digits of all that shapes a prompt; the name, the source and the notes do not."""
        return digest([repr(getattr(self, item.name)) for item in fields(self) if item.name not in ("name", "source", "notes")])


def family_names() -> list[str]:
    """The names of the families that are shipped, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def is_file_name(name: str) -> bool:
    """Whether a template is named by a file of the user's own."""
    return name.endswith((".yaml", ".yml"))


def load_family(name: str) -> Family:
    """A family by its name, or by the path of its file (`.yaml`). Raises `TemplateError` where there is no such family."""
    path = Path(name) if is_file_name(name) else _SHIPPED / f"{name}.yaml"
    if not (path.is_file() if is_file_name(name) else name in family_names()):
        hint = _guess(name, family_names()) or "`tunewell template list` shows the families; your own is a file ending in .yaml"
        raise TemplateError(f"there is no prompt family `{name}`", where="template", hint=hint)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"the family cannot be read: {error}", where=str(path)) from error
    return _read(path, text)


@cache
def _read(path: Path, text: str) -> Family:
    try:
        entry = yaml.safe_load(text)
    except RecursionError as error:
        raise TemplateError("the family cannot be read: it is nested too deeply", where=str(path)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise TemplateError(f"the family cannot be read: {error}", where=str(path)) from error
    if not isinstance(entry, Mapping):
        raise TemplateError("a family is a mapping of its parts", where=str(path), hint=f"its keys are {', '.join(_KEYS)}")
    return read_family(path.stem, entry, where=str(path))


_PIECES = ("prefix", "system", "first", "last", "single", "turn", "with_input", "suffix", "answer", "end", "past_end", "between")
_TEXTS = ("source", "notes", "default_system")
_KEYS = tuple(item.name for item in fields(Family) if item.name != "name")
_MAY_HOLD: Mapping[str, frozenset[str]] = {
    "system": frozenset({"system"}),
    "first": frozenset({"system", "user"}),
    "last": frozenset({"system", "user"}),
    "single": frozenset({"user"}),
    "turn": frozenset({"user"}),
    "with_input": frozenset({"instruction", "input"}),
    "answer": frozenset({"assistant"}),
}
_HOLD_A_ROUND = ("first", "last", "single", "turn", "with_input", "suffix", "between")
_ONE_OF = ("system", "first", "last")


def read_family(name: str, entry: Mapping[str, Any], *, where: str) -> Family:
    """A family from the mapping of its file. All mistakes are named at once, in a `TemplateError`."""
    problems = [f"{_printable(key)}: unknown key. {_guess(str(key), _KEYS)}".rstrip() for key in entry if key not in _KEYS]
    problems += [f"{key}: missing" for key in ("source", "turn", "end") if key not in entry]
    problems += [f"{key}: a text is wanted" for key in _TEXTS if not _is_text(entry.get(key, ""))]
    trim = entry.get("trim", False)
    if not (isinstance(trim, bool) or (isinstance(trim, list) and all(name in _TRIMMED for name in trim))):
        problems.append(f"trim: true, false or a list of {', '.join(_TRIMMED)} is wanted")
    if entry.get("past_reasoning", "keep") not in _PAST_REASONING:
        problems.append(f"past_reasoning: one of {', '.join(_PAST_REASONING)} is wanted")
    stop = entry.get("stop", [])
    if not (isinstance(stop, list) and all(_is_text(text) and text for text in stop)):
        problems.append("stop: a list of texts is wanted")
    pieces: dict[str, Pieces] = {}
    for key in _PIECES:
        if key in entry:
            pieces[key], wrong = _read_pieces(entry[key])
            problems += [f"{key}{place}: {problem}" for place, problem in wrong]
            problems += _contents_problems(key, pieces[key])
    problems += _system_problems(entry)
    if problems:
        raise TemplateError("\n  ".join(["this is no prompt family", *problems]), where=where)
    plain = {key: entry[key] for key in (*_TEXTS, "past_reasoning") if key in entry}
    return Family(name=name, **plain, **cast("Any", pieces), trim=trim if isinstance(trim, bool) else tuple(trim), stop=tuple(stop))


def family_entry(family: Family) -> dict[str, Any]:
    """The family as the mapping of its file: what `read_family` takes."""
    entry: dict[str, Any] = {}
    for item in fields(Family):
        value = getattr(family, item.name)
        if item.name == "name" or value == item.default:
            continue
        if item.name in _PIECES:
            value = [_piece_entry(piece) for piece in value]
        entry[item.name] = list(value) if isinstance(value, tuple) else value
    return entry


def _piece_entry(piece: Piece) -> str | dict[str, str | int]:
    if piece.kind == "text":
        return piece.text
    shown = {"text": piece.text} if piece.text != (piece.value if piece.kind == "token" else "") else {}
    return {piece.kind: piece.value, **shown}


def _contents_problems(key: str, pieces: Pieces) -> list[str]:
    allowed = _MAY_HOLD.get(key, frozenset())
    held = [str(piece.value) for piece in pieces if piece.kind == "content"]
    problems = [f"{key}: the {name} text has no place here" for name in held if name not in allowed]
    if key not in _HOLD_A_ROUND and any(piece.kind == "round" for piece in pieces):
        problems.append(f"{key}: the number of a round has no place here")
    if pieces or key in ("turn", "answer"):
        problems += [f"{key}: {{content: {name}}} is missing" for name in sorted(allowed) if name not in held]
    problems += [f"{key}: {{content: {name}}} stands twice" for name in sorted(set(held)) if held.count(name) > 1]
    return problems


def _system_problems(entry: Mapping[str, Any]) -> list[str]:
    given = [key for key in _ONE_OF if entry.get(key)]
    if len(given) > 1:
        return [f"{given[1]}: the system text stands in `{given[0]}` already"]
    if entry.get("default_system") and not given:
        return [f"default_system: it has no place without one of {', '.join(_ONE_OF)}"]
    return []


class _Wrong(NamedTuple):
    place: str
    problem: str


def _read_pieces(entry: Any) -> tuple[Pieces, list[_Wrong]]:
    if not isinstance(entry, list):
        return (), [_Wrong("", "a list of pieces is wanted")]
    read = [_read_piece(item) for item in entry]
    wrong = [_Wrong(f"[{place}]", piece) for place, piece in enumerate(read) if isinstance(piece, str)]
    return tuple(piece for piece in read if isinstance(piece, Piece)), wrong


_FORMS: Mapping[str, tuple[type, Sequence[Any]]] = {
    "token": (str, ()),
    "id": (int, ()),
    "special": (str, _SPECIALS),
    "round": (int, ()),
    "content": (str, get_args(Content)),
}


def _read_piece(item: Any) -> Piece | str:
    """A piece, or what is wrong with it."""
    if isinstance(item, str):
        if not _is_text(item):
            return "half of a pair of surrogates is no text"
        return Piece("text", item, item) if item else "an empty text"
    if not isinstance(item, Mapping):
        return "a piece is a text, or a mapping such as {token: NAME}"
    kinds = [key for key in item if key in _FORMS]
    if len(kinds) != 1 or set(item) - {kinds[0], "text"}:
        return f"a piece is a text, or one of {', '.join(_FORMS)}, with `text` beside it for a person to see"
    kind = kinds[0]
    wanted, allowed = _FORMS[kind]
    value, shown = item[kind], item.get("text", item[kind] if kind == "token" else "")
    if not isinstance(value, wanted) or isinstance(value, bool) or value == "" or (wanted is str and not _is_text(value)):
        return f"{kind}: {'a number' if wanted is int else 'a text'} is wanted"
    if kind == "id" and not 0 <= cast("int", value) < _MOST_IDS:
        return "id: a token has a number from 0 on, below 2 to the power of 32"
    if allowed and value not in allowed:
        return f"{kind}: one of {', '.join(allowed)} is wanted"
    if not _is_text(shown):
        return "text: a text is wanted"
    return Piece(cast("Kind", kind), cast("str | int", value), shown)


def _is_text(value: Any) -> bool:
    """Whether it is a text that can be written: without half a pair of surrogates."""
    return isinstance(value, str) and _printable(value) == value


def _printable(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _guess(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else ""
