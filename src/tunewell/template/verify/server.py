"""A running server against the prompt format that was trained: what it makes of twenty conversations, and what it stops on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template.compiled import FamilyFormat
from tunewell.template.encoded import NOT_TRAINED, first_difference
from tunewell.template.family import family_names, load_family
from tunewell.template.goldens import golden_conversations
from tunewell.template.protocol import PromptFormat
from tunewell.template.verify.cause import Case, Cause, Marks, likely_cause, likely_cause_of_counts
from tunewell.template.verify.checks import Finding, accepted
from tunewell.template.verify.http import Http
from tunewell.template.verify.kinds import Server, Written, recognise, stops_on, written_by
from tunewell.template.verify.shown import difference_shown, parting_shown, token_shown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROMPTS = "the server's prompts"
_HOW = {
    "ids": "Token ids are compared",
    "text": "The server tells no token ids: only the texts are compared, without the beginning of sequence",
    "counts": "The server tells no token ids: only the numbers of tokens are compared",
}


_TOLD = {"ids": "token ids", "text": "text", "counts": "number of tokens"}


class ServerReport(NamedTuple):
    """What was seen of a server; `compared` is `ids`, `text`, `counts` or `nothing`."""

    url: str
    kind: str
    model: str
    eos: str
    compared: str
    findings: list[Finding]

    def as_json(self) -> dict[str, str]:
        """What the server is, without the findings."""
        return {"url": self.url, "kind": self.kind, "model": self.model, "eos": self.eos, "compared": self.compared}


class _Pair(NamedTuple):
    """A prompt as it was trained (None where the format refuses it), and as the server makes it."""

    where: str
    messages: tuple[Message, ...]
    ours: list[int] | None
    theirs: Written


class _Trained(NamedTuple):
    chat: PromptFormat
    tokenizer: "PreTrainedTokenizerBase"
    marks: Marks


def verify_server(
    chat: PromptFormat, tokenizer: "PreTrainedTokenizerBase", url: str, *, model: str = "", key_variable: str = ""
) -> ServerReport:
    """Ask a server for the prompts of the golden conversations and compare them with the trained ones.

    Raises `UserError` where the server cannot be reached, wants a key, or speaks a protocol that is not known.
    """
    trained = _Trained(chat, tokenizer, _marks(chat, tokenizer))
    with Http(url, key_variable=key_variable) as http:
        server = recognise(http, model)
        pairs = [_pair(chat, server, golden.name, golden.messages[:-1]) for golden in golden_conversations()]
        stop = _stop_finding(trained, server)
    told = [pair.theirs for pair in pairs if pair.ours is not None]
    compared = next((name for name in ("ids", "text", "counts") if any(_tells(written, name) for written in told)), "nothing")
    findings = [*_refusals(pairs), *_untold(pairs, compared), *_compare(trained, pairs, compared), *_completions(pairs), *stop]
    return ServerReport(http.url, server.kind, server.model, server.eos, compared, findings)


def _pair(chat: PromptFormat, server: Server, where: str, messages: tuple[Message, ...]) -> _Pair:
    try:
        ours = chat.prompt_ids(messages)
    except TemplateError:
        ours = None
    return _Pair(where, messages, ours, written_by(server, messages))


def _tells(written: Written, name: str) -> bool:
    return {"ids": written.ids, "text": written.text, "counts": written.read}[name] is not None


def _refusals(pairs: Sequence[_Pair]) -> list[Finding]:
    refused = [pair for pair in pairs if pair.theirs.refused and pair.ours is not None]
    if not refused:
        return []
    detail = f"the server refuses {len(refused)} of {len(pairs)}: {refused[0].theirs.refused}"
    return [Finding("the server takes the conversations", False, detail, refused[0].where)]


def _untold(pairs: Sequence[_Pair], compared: str) -> list[Finding]:
    """Conversations of which the server tells less than of others: nothing is known of them."""
    if compared == "nothing":
        return []
    untold = [pair for pair in pairs if pair.ours is not None and not pair.theirs.refused and not _tells(pair.theirs, compared)]
    if not untold:
        return []
    detail = f"of {len(untold)} of {len(pairs)} the server does not tell the {_TOLD[compared]}, as it does of others"
    return [Finding("the server tells every prompt", False, detail, untold[0].where)]


def _compare(trained: _Trained, pairs: Sequence[_Pair], compared: str) -> list[Finding]:
    """One finding if all prompts are alike, else one for each likely cause."""
    if compared == "nothing":
        return [Finding(_PROMPTS, False, "the server tells neither token ids nor text nor numbers of tokens")]
    comparable = [pair for pair in pairs if pair.ours is not None and _tells(pair.theirs, compared)]
    unlike = [pair for pair in comparable if not _is_alike(trained, pair, compared)]
    if not unlike:
        return [Finding(_PROMPTS, True, f"{len(comparable)} of {len(pairs)} are as trained. {_HOW[compared]}")]
    described = _Comparison(len(comparable), compared, _fitting_family(trained, comparable, compared))
    return [_cause_finding(trained, group, described) for group in _causes(trained, comparable, unlike, compared)]


def _is_alike(trained: _Trained, pair: _Pair, compared: str) -> bool:
    match compared:
        case "ids":
            return pair.ours == pair.theirs.ids
        case "text":
            return _text(trained, pair.messages) == _without_bos(trained, pair.theirs.text or "")
        case _:
            return len(pair.ours or []) == pair.theirs.read


class _Group(NamedTuple):
    """The conversations that differ for one cause, the first of which shows it."""

    cause: Cause
    pairs: list[_Pair]


def _causes(trained: _Trained, pairs: Sequence[_Pair], unlike: Sequence[_Pair], compared: str) -> list[_Group]:
    if compared == "counts":
        differences = [(pair.messages, (pair.theirs.read or 0) - len(pair.ours or [])) for pair in pairs]
        return [_Group(likely_cause_of_counts(differences), list(unlike))]
    groups: dict[str, _Group] = {}
    for pair in unlike:
        cause = likely_cause(_case(trained, pair, compared))
        groups.setdefault(cause.what, _Group(cause, [])).pairs.append(pair)
    return list(groups.values())


def _case(trained: _Trained, pair: _Pair, compared: str) -> Case:
    if compared == "text":
        theirs = _without_bos(trained, pair.theirs.text or "")
        return Case(pair.messages, theirs, lambda messages: _text(trained, messages), trained.marks._replace(bos=""))
    decode = trained.tokenizer.decode
    theirs = cast("str", decode(pair.theirs.ids or []))
    return Case(pair.messages, theirs, lambda messages: cast("str", decode(trained.chat.prompt_ids(messages))), trained.marks)


class _Comparison(NamedTuple):
    """How many prompts were compared, by what, and the family that the server writes, if it is known."""

    total: int
    compared: str
    family: str


def _cause_finding(trained: _Trained, group: _Group, done: _Comparison) -> Finding:
    (what, remedy, seen), pairs = group
    shown = {"ids": _ids_shown, "text": _texts_shown, "counts": _counts_shown}[done.compared](trained, pairs[0])
    cause = f"{what} ({seen})" if seen else what
    named = f"; the server writes the family `{done.family}`" if done.family else ""
    detail = f"{len(pairs)} of {done.total} differ: {shown}. Likely cause: {cause}{named}. Remedy: {remedy}. {_HOW[done.compared]}"
    return Finding(_PROMPTS, False, detail, pairs[0].where)


def _ids_shown(trained: _Trained, pair: _Pair) -> str:
    ours, theirs = pair.ours or [], pair.theirs.ids or []
    return difference_shown(ours, theirs, first_difference(ours, theirs) or 0, trained.tokenizer)


def _texts_shown(trained: _Trained, pair: _Pair) -> str:
    return parting_shown(_text(trained, pair.messages), _without_bos(trained, pair.theirs.text or ""))


def _counts_shown(trained: _Trained, pair: _Pair) -> str:
    del trained
    return f"{len(pair.ours or [])} tokens against {pair.theirs.read}"


def _completions(pairs: Sequence[_Pair]) -> list[Finding]:
    """Whether a completion reads as many tokens as the server says that it makes of the messages."""
    both = [(pair, len(pair.theirs.ids), pair.theirs.read) for pair in pairs if pair.theirs.ids and pair.theirs.read is not None]
    if not both:
        return []
    name = "a completion reads the same"
    for pair, told, read in both:
        if told != read:
            detail = f"the server says that it makes {told} tokens of the messages, a completion read {read}"
            return [Finding(name, False, detail, pair.where)]
    return [Finding(name, True, f"{len(both)} completions read as many tokens as the server says that it makes")]


def _stop_finding(trained: _Trained, server: Server) -> list[Finding]:
    """Whether the server ends its answer where training ends one."""
    end = _end_id(trained.chat)
    stops = None if end is None else stops_on(server, end)
    if end is None or stops is None:
        return []
    shown = token_shown(end, trained.tokenizer)
    named = f"; its end-of-sequence token is {server.eos}" if server.eos else ""
    if stops:
        return [Finding("the server stops", True, f"{shown}, forced upon it, ended its answer{named}")]
    detail = f"{shown} ends an answer in training, but the server went on after it{named}: send it as `stop`, or set its eos token"
    return [Finding("the server stops", False, detail)]


def _end_id(chat: PromptFormat) -> int | None:
    """The token that training ends an answer with."""
    label = next((chat.encode(asked.row).labels[-1] for asked in accepted(chat)), NOT_TRAINED)
    return None if label == NOT_TRAINED else label


def _marks(chat: PromptFormat, tokenizer: "PreTrainedTokenizerBase") -> Marks:
    end = _end_id(chat)
    controls = tuple(str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    bos = cast("str | None", tokenizer.bos_token)
    return Marks(bos or "", "" if end is None else cast("str", tokenizer.decode([end])), controls)


def _text(trained: _Trained, messages: Sequence[Message]) -> str:
    return _without_bos(trained, trained.chat.text(messages))


def _without_bos(trained: _Trained, text: str) -> str:
    """The text without the beginning of sequence in front, which a server that tells its text may add later.

    Where that token opens every turn, as in ChatML with the tokenizer of SmolLM2, it is part of the text.
    """
    bos = trained.marks.bos
    return text.removeprefix(bos) if bos and text.count(bos) == 1 else text


def _fitting_family(trained: _Trained, pairs: Sequence[_Pair], compared: str) -> str:
    """The shipped family under which all prompts are as the server makes them, or nothing."""
    for name in family_names():
        if name == trained.chat.name:
            continue
        try:
            chat = FamilyFormat(load_family(name), trained.tokenizer)
            other = _Trained(chat, trained.tokenizer, trained.marks)
            if all(_is_alike(other, pair._replace(ours=chat.prompt_ids(pair.messages)), compared) for pair in pairs):
                return name
        except TemplateError:
            continue
    return ""
