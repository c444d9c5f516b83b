"""A family as a Jinja chat template, as transformers, vLLM and llama.cpp read it."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from tunewell.template.conversation import THOUGHT_ENDS
from tunewell.template.family import Family, Piece, Pieces

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_LAST_QUESTION = "loop.index0 + 2 >= loop.length"
_NO_PLACE = "This format has no place for a system text: put it into the question, or leave it out."
_OUT_OF_TURN = "Questions and answers take turns, a question first; a system text stands in front. Out of turn: "


def jinja_of(family: Family, names: Mapping[Piece, str], *, marks: bool = True) -> str:
    """The family as a chat template: it writes what `text_of` writes.

    A conversation that ends with a question is written up to where the model answers, whatever `add_generation_prompt` is: a
    family does not say where in a turn the question ends and the assistant's mark begins. So do the templates of Llama 2 and
    Mistral. Nothing follows the last answer.

    `names` are the names of the family's tokens under a tokenizer. With `marks`, what is trained stands in `{% generation %}`, for
    `return_assistant_tokens_mask`; engines that lack this tag (llama-cpp-python, minijinja) need a template without. Where a past
    answer carries no end token, its end cannot be marked.

    Known problems: llama.cpp trims ASCII white space alone, where a family trims; and where a family has no place for a system
    text, it puts such a text in front of the first question by itself, before the template could refuse it.
    """
    writer = _Writer(names, _contents(family))
    turns = "turns" if family.takes_system else "messages"
    body = [
        *(["{%- set content = message.content | trim %}"] if family.trims & {"user", "assistant"} else []),
        "{%- if message.role == 'user' and loop.index0 % 2 == 0 %}",
        *_indented(_question(family, writer)),
        "{%- elif message.role == 'assistant' and loop.index0 % 2 == 1 %}",
        *_indented(_chosen(_answers(family, writer, marks=marks))),
        "{%- else %}",
        f"    {{{{- raise_exception({_quoted(_OUT_OF_TURN)} + message.role) }}}}",
        "{%- endif %}",
    ]
    return "\n".join([*_front(family, writer), f"{{%- for message in {turns} %}}", *_indented(body), "{%- endfor %}"])


def merged(pieces: Pieces, names: Mapping[Piece, str]) -> list[str | Piece]:
    """The pieces with neighbouring texts and tokens joined to one text; contents and rounds stay pieces."""
    parts: list[str | Piece] = []
    for varies, group in groupby(pieces, key=lambda piece: piece.kind in ("content", "round")):
        if varies:
            parts.extend(group)
        elif text := "".join(names.get(piece, piece.text) for piece in group):
            parts.append(text)
    return parts


class _Writer(NamedTuple):
    """Pieces as what the template writes: the names of tokens, and how the template calls each content."""

    names: Mapping[Piece, str]
    contents: Mapping[str, str]

    def expression(self, pieces: Pieces) -> str:
        """An expression of Jinja; empty where there is nothing to write."""
        parts = merged(pieces, self.names)
        return " + ".join(_quoted(part) if isinstance(part, str) else self._variable(part) for part in parts)

    def lines(self, pieces: Pieces) -> list[str]:
        """The line that writes the pieces, if any."""
        expression = self.expression(pieces)
        return [f"{{{{- {expression} }}}}"] if expression else []

    def _variable(self, piece: Piece) -> str:
        if piece.kind == "content":
            return self.contents[str(piece.value)]
        return f"((loop.index0 / 2 + {piece.value}) | int | string)"  # llama.cpp has no //


class _Choice(NamedTuple):
    """Lines, and when they are written: the first choice of a list that holds is taken. The last one has no condition."""

    condition: str
    lines: list[str]


def _contents(family: Family) -> dict[str, str]:
    user, assistant = ("content" if role in family.trims else "message.content" for role in ("user", "assistant"))
    rest = "(lines[1:] | join('\\n'))"
    return {"system": "system", "user": user, "assistant": assistant, "instruction": "lines[0]", "input": rest}


def _front(family: Family, writer: _Writer) -> list[str]:
    has_system = "messages[0].role == 'system'"
    if not family.takes_system:
        refuse = f"{{{{- raise_exception({_quoted(_NO_PLACE)}) }}}}"
        return [*_chosen([_Choice(has_system, [refuse]), _Choice("", [])]), *writer.lines(family.prefix)]
    own = f"{{%- set system = messages[0].content{' | trim' if 'system' in family.trims else ''} %}}"
    default = f"{{%- set system = {_quoted(family.default_system) if family.default_system else 'none'} %}}"
    lines = _chosen(
        [
            _Choice(has_system, [own, "{%- set turns = messages[1:] %}"]),
            _Choice("", [default, "{%- set turns = messages %}"]),
        ]
    )
    if family.default_system or not family.system:
        return [*lines, *writer.lines(family.prefix + family.system)]
    system = _chosen([_Choice("system is not none", writer.lines(family.system)), _Choice("", [])])
    return [*lines, *writer.lines(family.prefix), *system]


def _question(family: Family, writer: _Writer) -> list[str]:
    under_system = _under_system(family)
    forms = {
        "loop.length <= 2": family.single,
        f"loop.first{under_system}": family.first,
        f"{_LAST_QUESTION}{under_system}": family.last,
        "lines | length > 1": family.with_input,
        "": family.turn,
    }
    lines = [f"{{%- set lines = ({writer.contents['user']} | trim).split('\\n') %}}"] if family.with_input else []
    if between := writer.expression(family.between):
        lines.append(f"{{{{- '' if loop.first else {between} }}}}")
    lines += _chosen([_Choice(condition, writer.lines(pieces)) for condition, pieces in forms.items() if pieces])
    if suffix := writer.lines(family.suffix):
        condition = f"loop.length > 2 and {_LAST_QUESTION}" if family.single else _LAST_QUESTION
        lines += _chosen([_Choice(condition, suffix), _Choice("", [])])
    return lines


def _answers(family: Family, writer: _Writer, *, marks: bool) -> list[_Choice]:
    """The forms of an answer. Where a family rewrites what is history, an answer with other tokens before or in it is untrained."""
    past = family.answer + (family.end if family.past_end is None else family.past_end)
    latest = _trained(writer.lines(family.answer + family.end), marks=marks)
    choices: list[_Choice] = []
    if family.past_reasoning != "keep":
        content, ends = writer.contents["assistant"], _quoted(THOUGHT_ENDS)
        strips = ".lstrip('\\n')" if family.past_reasoning == "drop" else ""
        said = {**writer.contents, "assistant": f"{content}.split({ends})[-1]{strips}"}
        choices.append(_Choice(f"not loop.last and {ends} in {content}", writer._replace(contents=said).lines(past)))
    if family.last:
        choices.append(_Choice(f"not loop.last{_under_system(family)}", writer.lines(past)))
    is_trained = marks and not (family.single or family.suffix)
    choices.append(_Choice("not loop.last", _trained(writer.lines(past), marks=is_trained)))
    while choices and choices[-1].lines == latest:
        choices.pop()
    return [*choices, _Choice("", latest)]


def _under_system(family: Family) -> str:
    """The end of a condition: whether there is a system text, where that is not sure."""
    return "" if family.default_system else " and system is not none"


def _trained(lines: list[str], *, marks: bool) -> list[str]:
    return ["{%- generation %}", *_indented(lines), "{%- endgeneration %}"] if marks else lines


def _chosen(choices: Sequence[_Choice]) -> list[str]:
    """The choices as one `if`, or the lines alone where there is nothing to choose."""
    *conditional, otherwise = choices
    if not conditional:
        return otherwise.lines
    lines: list[str] = []
    for place, choice in enumerate(conditional):
        lines += [f"{{%- {'elif' if place else 'if'} {choice.condition} %}}", *_indented(choice.lines)]
    if otherwise.lines:
        lines += ["{%- else %}", *_indented(otherwise.lines)]
    return [*lines, "{%- endif %}"]


def _quoted(text: str) -> str:
    return f"'{text.translate(_ESCAPES)}'"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
