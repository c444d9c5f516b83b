"""Selection from a big yield: the rows that have most to teach, and rows that lie far from each other."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tunewell.errors import TemplateError
from tunewell.generate.diversity import k_centre, vectors
from tunewell.records import Dropped, Example, Message
from tunewell.store import digest, folder_digest
from tunewell.template import AUTO, PromptFormat, open_format

if TYPE_CHECKING:
    from tunewell.model.difficulty import Answered

Way = Literal["difficulty", "diversity"]
_CONTEXT = 2048


class Selection(NamedTuple):
    """The rows that are kept, and those that are not, task by task in the order they came."""

    kept: list[Example]
    left: list[Dropped]


def select(
    examples: Sequence[Example], keep: int, by: Sequence[Way], *, model: Path, template: str = AUTO, out_dir: Path
) -> Selection:
    """At most `keep` rows of each task, chosen by difficulty, by diversity, or by both.

    By difficulty: rows above 1 are left out, whatever room there is, and the most difficult of the others are kept; rows whose
    difficulty is unknown come last. By diversity: k-centre greedy. By both: k-centre greedy among the 2 x `keep` most difficult.
    Which rows are kept does not depend on the order in which they come. `out_dir` keeps a journal of difficulties, so that
    a killed run goes on.

    The evidence of kept rows gains `difficulty` and `distance` (to the nearest other kept row of the task; null where there is
    none). The others are given back as `not_selected`, with their own figure as detail.

    Example: 4,000 `doc2qa` rows, `keep` 1,000: the 2,000 most difficult, and of these 1,000 far from each other.

    Known problems: both ways like the odd row, so select after the checks. Rows whose answers are alike, as those that a
    document does not answer, lie close together and have little to teach a base that declines readily: few of them remain.
    """
    ratios = difficulties(model, examples, template=template, out_dir=out_dir) if "difficulty" in by else {}
    tasks: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        tasks[example.task].append(example)
    selections = [_select(rows, keep, by, ratios) for rows in tasks.values()]
    return Selection([row for each in selections for row in each.kept], [row for each in selections for row in each.left])


def difficulties(
    model: Path, examples: Sequence[Example], *, template: str = AUTO, out_dir: Path, context: int = _CONTEXT
) -> dict[str, float | None]:
    """The difficulty under a base model, with its prompt format, of each row's last answer, by row id.

    None where there is no answer, the prompt format refuses the row, or it has more than `context` tokens.
    """
    from tunewell.model.attention import enable_packed_attention
    from tunewell.model.difficulty import difficulty
    from tunewell.model.load import load_base, load_tokenizer, number_format

    tokenizer = load_tokenizer(model)
    chat = open_format(template, tokenizer)
    longest = min(context, tokenizer.model_max_length)
    encoded = {example.id: _encode(chat, example) for example in examples}
    fitting = {key: row for key, row in encoded.items() if row and len(row.prompt) + len(row.answer) <= longest}
    if not fitting:
        return dict.fromkeys(encoded)
    base = load_base(model, number_format().dtype)
    enable_packed_attention(base)
    identity = digest([folder_digest(model), str(base.dtype), chat.hash])
    journal = out_dir / "journal" / f"difficulty-{identity}.jsonl"
    ratios = difficulty(base, fitting, chat.prompt_ids((Message("user", ""),)), journal=journal)
    return {key: ratios.get(key) for key in encoded}


def _encode(chat: PromptFormat, example: Example) -> "Answered | None":
    """The last answer as it would be trained, its end token included, and all that comes before it."""
    from tunewell.model.difficulty import Answered

    if not example.answer:
        return None
    after_answer = max(place for place, message in enumerate(example.messages, start=1) if message.role == "assistant")
    messages = example.messages[:after_answer]
    try:
        labels = chat.encode(messages).labels
        prompt = chat.prompt_ids(messages[:-1])
    except TemplateError:
        return None
    return Answered(prompt, [label for label in labels[len(prompt) :] if label >= 0])


def _select(rows: Sequence[Example], keep: int, by: Sequence[Way], ratios: Mapping[str, float | None]) -> Selection:
    """The selection among the rows of one task."""
    figures: list[dict[str, float | None]] = [{} for _ in rows]
    places = sorted(range(len(rows)), key=lambda place: (-_rank(ratios.get(rows[place].id)), rows[place].id))
    if "difficulty" in by:
        for place, row in enumerate(rows):
            figures[place]["difficulty"] = _rounded(ratios[row.id])
        helped = [place for place in places if _rank(ratios[rows[place].id]) <= 1]
        places = helped[: 2 * keep if "diversity" in by else keep]
    if "diversity" in by:
        centres = k_centre(vectors([_text(rows[place]) for place in places]), keep)
        for place, distance in zip(places, centres.nearest.tolist(), strict=True):
            figures[place]["distance"] = _rounded(distance)
        places = [places[centre] for centre in centres.places]
    chosen = set(places)
    return Selection(
        [replace(row, evidence={**row.evidence, **figures[place]}) for place, row in enumerate(rows) if place in chosen],
        [Dropped(row, "not_selected", _detail(figures[place])) for place, row in enumerate(rows) if place not in chosen],
    )


def _rank(ratio: float | None) -> float:
    return -1.0 if ratio is None else ratio


def _text(row: Example) -> str:
    return "\n".join(message.content for message in row.messages if message.role != "system")


def _rounded(figure: float | None) -> float | None:
    return None if figure is None or math.isinf(figure) else round(figure, 4)


def _detail(figures: Mapping[str, float | None]) -> str:
    if "distance" in figures:
        return f"distance {figures['distance']} to the nearest chosen row"
    ratio = figures["difficulty"]
    if ratio is None:
        return "difficulty unknown: no answer, refused by the chat format, or too long"
    return f"difficulty {ratio}: " + ("the question does not help" if ratio > 1 else "others are more difficult")
