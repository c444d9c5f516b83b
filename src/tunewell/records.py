"""The frozen records that pass between stages, and their Parquet schemas.

`Example` is one conversation. `Dropped` is an example (or a row that never became one) with the reason it was left out.
`Document` is one section of a document. `Result` is what one model did on one test item. Stages exchange nothing else.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import pyarrow as pa

Pool = Literal["domain", "open"]
POOLS: tuple[Pool, ...] = ("domain", "open")
"""Both pools, in the order in which columns of numbers count them."""
Role = Literal["system", "user", "assistant"]
TEST_TASKS = ("seen", "paraphrase", "unseen")
"""The tasks of test items; all others are of training rows."""
OWN_WORDS_TASKS = ("real_qa",)
"""Tasks of a teacher that only tidies up: the question is the user's own, word for word, and the answer the agent's."""
LABEL_TASKS = ("similarity", "classification")
"""Tasks whose answer is one of a few words, however short."""
BORROWED_TASKS = ("reading", "similarity", "classification", "paraphrase", "summary", "cot")
"""Tasks whose question is on purpose near to others: the same words around a text, or a question that stands elsewhere too."""

_AS_JSON = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row came from: a file and its row (1-based line or index), or a document and a span of characters in it."""

    path: str
    row: int | None = None
    heading: str = ""
    start: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        return self.path if self.row is None else f"{self.path}:{self.row}"


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation.

    `task` says what the row is for: `qa`, `reading`, `similarity` or `classification` for collected rows, the name of the task for
    those that a teacher wrote, `replay` for the base model's own answers, and one of `TEST_TASKS` for test items. `family` is
    shared by all rows that descend from one question or document chunk; a family never straddles train and test. `evidence`
    holds what is known about the row's making (JSON values); a row that a teacher made names it there as `teacher`, no other does.
    """

    messages: tuple[Message, ...]
    pool: Pool
    origin: Origin
    task: str = "qa"
    language: str = ""
    family: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_id(self.messages))
        if not self.family:
            object.__setattr__(self, "family", self.id)

    @property
    def system(self) -> str:
        """The system text, or an empty string."""
        return "".join(message.content for message in self.messages if message.role == "system")

    @property
    def question(self) -> str:
        """The first user turn, or an empty string."""
        return next((message.content for message in self.messages if message.role == "user"), "")

    @property
    def answer(self) -> str:
        """The last assistant turn, or an empty string."""
        return next((message.content for message in reversed(self.messages) if message.role == "assistant"), "")

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All messages before the last assistant turn."""
        if self.messages and self.messages[-1].role == "assistant":
            return self.messages[:-1]
        return self.messages

    @property
    def turns(self) -> Literal["single", "multi"]:
        """`multi` when the user speaks more than once."""
        return "multi" if sum(message.role == "user" for message in self.messages) > 1 else "single"


@dataclass(frozen=True, slots=True)
class Dropped:
    """An example that was left out, the rule that did it (`reason`) and what the rule saw (`detail`)."""

    example: Example
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One section of a document: its text, the headings above it, and its span of characters in the file."""

    id: str
    path: str
    heading: str
    text: str
    start: int
    end: int
    language: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one model (`base` or `tuned`) did on one test item.

    `probe` is the test (`domain`, `brittleness`, `constraints`, `leakage`, `retention`), `variant` its slice (`seen`,
    `paraphrase`, `unseen`; a prompt shell; the number of constraints; `general` or `near_miss`; an ability). `item` names the
    item, the same for both models, and `family` the cluster it belongs to. `measures` holds one number per metric.
    """

    probe: str
    variant: str
    item: str
    family: str
    language: str
    model: Literal["base", "tuned"]
    prompt: str
    reference: str
    prediction: str
    measures: Mapping[str, float]


class Summary(NamedTuple):
    """What a stage hands to its manifest: row counts, and anything else worth keeping (JSON values)."""

    counts: Mapping[str, int]
    details: Mapping[str, Any] = {}


def content_id(messages: Sequence[Message]) -> str:
    """The identity of a conversation: 16 hex digits of the hash of its roles and texts."""
    text = _AS_JSON([[message.role, message.content] for message in messages])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_ORIGIN = pa.struct(
    [("path", pa.string()), ("row", pa.int64()), ("heading", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
)

EXAMPLE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("messages", pa.list_(_MESSAGE)),
        ("pool", pa.string()),
        ("task", pa.string()),
        ("language", pa.string()),
        ("family", pa.string()),
        ("origin", _ORIGIN),
        ("evidence", pa.string()),
    ]
)
DROPPED_SCHEMA = pa.schema([*EXAMPLE_SCHEMA, ("reason", pa.string()), ("detail", pa.string())])
DOCUMENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),
        ("heading", pa.string()),
        ("text", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("language", pa.string()),
    ]
)
RESULT_SCHEMA = pa.schema(
    [
        ("probe", pa.string()),
        ("variant", pa.string()),
        ("item", pa.string()),
        ("family", pa.string()),
        ("language", pa.string()),
        ("model", pa.string()),
        ("prompt", pa.string()),
        ("reference", pa.string()),
        ("prediction", pa.string()),
        ("measures", pa.string()),
    ]
)


def examples_to_table(examples: Sequence[Example]) -> pa.Table:
    """The examples as a table of `EXAMPLE_SCHEMA`, made column by column: many times faster than row by row."""
    messages = [message for example in examples for message in example.messages]
    spoken = pa.StructArray.from_arrays(
        [
            pa.array([message.role for message in messages], pa.string()),
            pa.array([message.content for message in messages], pa.string()),
        ],
        fields=list(_MESSAGE),
    )
    ends = accumulate((len(example.messages) for example in examples), initial=0)
    origins = [example.origin for example in examples]
    origin = [pa.array([getattr(origin, field.name) for origin in origins], field.type) for field in _ORIGIN]
    evidence = [json.dumps(dict(example.evidence), ensure_ascii=False, sort_keys=True) for example in examples]
    texts = {name: [getattr(example, name) for example in examples] for name in ("id", "pool", "task", "language", "family")}
    columns = {
        **{name: pa.array(values, pa.string()) for name, values in texts.items()},
        "messages": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), spoken),
        "origin": pa.StructArray.from_arrays(origin, fields=list(_ORIGIN)),
        "evidence": pa.array(evidence, pa.string()),
    }
    return pa.table({name: columns[name] for name in EXAMPLE_SCHEMA.names}, schema=EXAMPLE_SCHEMA)


def example_to_row(example: Example) -> dict[str, Any]:
    """The example as a Parquet row of `EXAMPLE_SCHEMA`."""
    return {
        "id": example.id,
        "messages": [{"role": message.role, "content": message.content} for message in example.messages],
        "pool": example.pool,
        "task": example.task,
        "language": example.language,
        "family": example.family,
        "origin": asdict(example.origin),
        "evidence": json.dumps(dict(example.evidence), ensure_ascii=False, sort_keys=True),
    }


def row_to_example(row: Mapping[str, Any]) -> Example:
    """The example in a Parquet row of `EXAMPLE_SCHEMA` or `DROPPED_SCHEMA`."""
    return Example(
        id=row["id"],
        messages=tuple(Message(**message) for message in row["messages"]),
        pool=row["pool"],
        task=row["task"],
        language=row["language"],
        family=row["family"],
        origin=Origin(**row["origin"]),
        evidence=json.loads(row["evidence"]),
    )


def dropped_to_row(dropped: Dropped) -> dict[str, Any]:
    """The dropped example as a Parquet row of `DROPPED_SCHEMA`."""
    return {**example_to_row(dropped.example), "reason": dropped.reason, "detail": dropped.detail}


def row_to_dropped(row: Mapping[str, Any]) -> Dropped:
    """The dropped example in a Parquet row of `DROPPED_SCHEMA`."""
    return Dropped(row_to_example(row), row["reason"], row["detail"])


def document_to_row(document: Document) -> dict[str, Any]:
    """The section as a Parquet row of `DOCUMENT_SCHEMA`."""
    return asdict(document)


def row_to_document(row: Mapping[str, Any]) -> Document:
    """The section in a Parquet row of `DOCUMENT_SCHEMA`."""
    return Document(**row)


def result_to_row(result: Result) -> dict[str, Any]:
    """The result as a Parquet row of `RESULT_SCHEMA`."""
    return {**asdict(result), "measures": json.dumps(dict(result.measures), sort_keys=True)}


def row_to_result(row: Mapping[str, Any]) -> Result:
    """The result in a Parquet row of `RESULT_SCHEMA`."""
    return Result(**{**row, "measures": json.loads(row["measures"])})
