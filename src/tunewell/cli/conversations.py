"""`tunewell template list | show | ids | text | compile`: conversations of a file under a prompt format."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from tunewell.errors import ModelError, TemplateError, UserError
from tunewell.text import visible

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tunewell.records import Message
    from tunewell.template import Loss, PromptFormat, Span


class AnswersName(StrEnum):
    """Which answers of a conversation are trained."""

    every = "every"
    last = "last"


class ReasoningName(StrEnum):
    """What becomes of the reasoning in an answer."""

    train = "train"
    mask = "mask"


class Compiled(StrEnum):
    """What a family is compiled to."""

    jinja = "jinja"
    modelfile = "modelfile"


File = Annotated[Path, typer.Argument(help="Conversations in any format that collect reads, or a folder of rows.", metavar="FILE")]
FamilyName = Annotated[str, typer.Option("--family", help="`auto`, a family of `template list`, or a family's file.")]
TokenizerFolder = Annotated[
    str, typer.Option("--tokenizer", help="Folder with a tokenizer, the embedded model's name, or a hub id.", metavar="DIR")
]
AnyTokenizer = Annotated[
    str | None, typer.Option("--tokenizer", help="As elsewhere; a family can do without.", metavar="DIR", show_default=False)
]
Rows = Annotated[int, typer.Option(min=1, help="Most conversations shown.")]
Context = Annotated[int | None, typer.Option(min=16, help="Longest example in tokens: say what would be cut.")]
Answers = Annotated[AnswersName, typer.Option(help="Which answers are trained.")]
Reasoning = Annotated[ReasoningName, typer.Option(help="Whether reasoning in answers is trained.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
EMBEDDED = "smollm2-135m"
_TRAINED = "black on green"
_NAMED = 5


def list_families(as_json: AsJson = False) -> None:
    """The prompt families that are shipped, each with its source."""
    from tunewell.cli.show import emit_json, print_rows
    from tunewell.template import family_names, load_family

    families = [load_family(name) for name in family_names()]
    if as_json:
        described = [
            {"name": family.name, "source": family.source, "notes": family.notes, "stop": family.stop} for family in families
        ]
        emit_json({"families": described})
    else:
        print_rows(("family", "stops on", "source"), [(family.name, " ".join(family.stop), family.source) for family in families])


def text(file: File, family: FamilyName = "auto", tokenizer: AnyTokenizer = None) -> None:
    """Print each conversation as the text that is tokenised. A family without a tokenizer is shown with the names in its file.

    Rows that the format refuses are named on stderr, and the command then exits 2.
    """
    from tunewell.template import AUTO, load_family, text_of

    plain = family != AUTO and tokenizer is None
    render = (
        partial(text_of, load_family(family))
        if plain
        else open_named(family, EMBEDDED if tokenizer is None else tokenizer).chat.text
    )
    _write_each(file, render)


def ids(
    file: File,
    family: FamilyName = "auto",
    tokenizer: TokenizerFolder = EMBEDDED,
    answers: Answers = AnswersName.every,
    reasoning: Reasoning = ReasoningName.train,
) -> None:
    """Print one JSON line a conversation: `{"ids", "labels"}`, with -100 where nothing is trained.

    Rows that the format refuses are named on stderr, and the command then exits 2.
    """
    from tunewell.template import Loss

    chat = open_named(family, tokenizer).chat
    loss = Loss(answers.value, reasoning.value)
    _write_each(file, lambda messages: json.dumps(chat.encode(messages, loss)._asdict()))


def show(  # noqa: PLR0913  the options of the command
    file: File,
    family: FamilyName = "auto",
    tokenizer: TokenizerFolder = EMBEDDED,
    rows: Rows = 3,
    context: Context = None,
    answers: Answers = AnswersName.every,
    reasoning: Reasoning = ReasoningName.train,
) -> None:
    """Print conversations as the model sees them: trained tokens coloured, special tokens visible, cuts and unusable rows named."""
    from tunewell.cli.show import talk
    from tunewell.template import Loss

    opened = open_named(family, tokenizer)
    loss = Loss(answers.value, reasoning.value)
    console = Console(highlight=False)
    coloured = console.color_system is not None
    trained = f"[{_TRAINED}]trained[/]" if coloured else "«trained»"
    console.print(f"[dim]format {opened.chat.description}, stops on {_stops(opened)}; [/]{trained}[dim], the rest is only read[/]")
    counted = Counter[str]()
    for number, row in enumerate(_rows(file), start=1):
        seen = _seen(row, opened, loss, context)
        counted[seen.kind] += 1
        if number <= rows or (seen.kind != "whole" and counted[seen.kind] <= _NAMED):
            console.print()
            console.print(Text(visible(f"{row.where}  {seen.note}"), style="bold" if seen.kind == "whole" else "bold yellow"))
            console.print(_coloured(seen.spans, marked=not coloured), soft_wrap=True)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counted.items())
    talk.print(f"{counted.total():,} conversations: {kinds}")


def compile_family(  # noqa: PLR0913  the options of the command
    family: FamilyName,
    tokenizer: TokenizerFolder = EMBEDDED,
    to: Annotated[Compiled, typer.Option("--to", help="A chat template, or an Ollama Modelfile.")] = Compiled.jinja,
    plain: Annotated[bool, typer.Option("--plain", help="A chat template without marks around what is trained.")] = False,
    weights: Annotated[str, typer.Option("--from", help="What the Modelfile's FROM names.", metavar="GGUF")] = "model.gguf",
    adapter: Annotated[str, typer.Option("--adapter", help="What the Modelfile's ADAPTER names.", metavar="PATH")] = "",
    system: Annotated[str, typer.Option("--system", help="The Modelfile's system text. Default: the family's.")] = "",
    context: Annotated[int | None, typer.Option("--context", min=1, help="The Modelfile's window in tokens.")] = None,
) -> None:
    """Print a family as a Jinja chat template or as an Ollama Modelfile, with the names of a tokenizer's tokens."""
    from tunewell.template import FamilyFormat
    from tunewell.template.jinja import jinja_of
    from tunewell.template.modelfile import modelfile_of

    of_one: Mapping[Compiled, Mapping[str, object]] = {
        Compiled.jinja: {"--plain": plain},
        Compiled.modelfile: {"--adapter": adapter, "--system": system, "--context": context},
    }
    idle = [name for kind, given in of_one.items() if kind is not to for name, value in given.items() if value]
    if idle:
        raise UserError(
            f"it has no meaning with --to {to.value}", where=", ".join(idle), hint="leave it out, or take the other --to"
        )
    chat = open_named(family, tokenizer).chat
    if to is Compiled.jinja and not plain:
        sys.stdout.write(chat.jinja() + "\n")
    elif not isinstance(chat, FamilyFormat):
        what = "a Modelfile, or a template without marks, is compiled from a family"
        raise TemplateError(what, where="--family", hint="name one of `tunewell template list`")
    elif to is Compiled.jinja:
        sys.stdout.write(jinja_of(chat.family, chat.names, marks=False) + "\n")
    else:
        options = {"source": weights, "adapter": adapter, "system": system}
        sys.stdout.write(modelfile_of(chat.family, chat.names, **options, context=context))


class _Row(NamedTuple):
    """A conversation and where it stands."""

    where: str
    messages: tuple["Message", ...]


class Opened(NamedTuple):
    """A prompt format and its tokenizer."""

    chat: "PromptFormat"
    tokenizer: "PreTrainedTokenizerBase"


class _Seen(NamedTuple):
    """A conversation as it would be trained: whole, shortened, too long, untrained or refused; and a note for a person."""

    kind: str
    note: str
    spans: "Sequence[Span]" = ()


def open_named(family: str, tokenizer: str) -> Opened:
    """The format and the tokenizer that a command names. Raises `ModelError` or `TemplateError` where they cannot be had."""
    from tunewell.model.load import load_tokenizer
    from tunewell.model.locate import tokenizer_folder
    from tunewell.template import open_format

    if not tokenizer:
        raise ModelError("no tokenizer is named", where="--tokenizer", hint=f"give a folder, a hub id, or `{EMBEDDED}`")
    loaded = load_tokenizer(tokenizer_folder(tokenizer))
    return Opened(open_format(family, loaded, where="--family"), loaded)


def _rows(path: Path) -> "Iterator[_Row]":
    """The conversations of a file or of a folder of rows; what is none is named on stderr, and the rest goes on."""
    from tunewell.cli.show import talk
    from tunewell.collect import conversations
    from tunewell.records import Dropped
    from tunewell.store import read_examples

    records = read_examples(path) if path.is_dir() else conversations(path)
    for record in records:
        example = record.example if isinstance(record, Dropped) else record
        if example.messages:
            yield _Row(str(example.origin), example.messages)
        elif isinstance(record, Dropped):
            talk.print(visible(f"passed over {example.origin}: {record.detail}"), markup=False, soft_wrap=True)


def _write_each(path: Path, render: "Callable[[Sequence[Message]], str]") -> None:
    """One line a conversation. What the format refuses is named on stderr, the rest goes on, and the command exits 2 at the end."""
    from tunewell.cli.show import talk

    refused = False
    for row in _rows(path):
        try:
            sys.stdout.write(render(row.messages) + "\n")
        except TemplateError as error:
            refused = True
            talk.print(visible(str(TemplateError(error.what, where=row.where, hint=error.hint))), markup=False, soft_wrap=True)
    if refused:
        raise typer.Exit(TemplateError.exit_code)


def _seen(row: _Row, opened: Opened, loss: "Loss", context: int | None) -> _Seen:
    from tunewell.template import fit, spans, supervised

    try:
        encoded = opened.chat.encode(row.messages, loss)
        fitted = fit(opened.chat, row.messages, context, loss) if context else None
    except TemplateError as error:
        return _Seen("refused", f"refused: {error.what}")
    shown = fitted.encoded if fitted else encoded
    size, trained = len(encoded.ids), supervised(shown)
    if context and fitted is None:
        return _Seen("too long", f"{size} tokens, too long for {context} even without its older turns")
    if fitted and fitted.left_out:
        note = f"{size} tokens, without its {fitted.left_out} oldest turns {len(shown.ids)}, {trained} trained"
        return _Seen("shortened", note, spans(shown, opened.tokenizer))
    if not trained:
        return _Seen("untrained", f"{size} tokens, no answer to train", spans(shown, opened.tokenizer))
    return _Seen("whole", f"{size} tokens, {trained} trained", spans(shown, opened.tokenizer))


def _stops(opened: Opened) -> str:
    tokens = opened.tokenizer.convert_ids_to_tokens(sorted(opened.chat.stop_ids))
    return escape(" ".join(tokens))


def _coloured(pieces: "Sequence[Span]", *, marked: bool) -> Text:
    """The conversation with trained stretches coloured, or, where there is no colour, between marks."""
    line = Text()
    for is_trained, run in groupby(pieces, key=lambda piece: piece.trained):
        line.append("«" if is_trained and marked else "")
        for piece in run:
            style = _TRAINED if is_trained else ""
            line.append(visible(piece.text), style=f"{style} bold magenta" if piece.special else style)
        line.append("»" if is_trained and marked else "")
    return line
