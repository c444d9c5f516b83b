"""`self_instruct`: new tasks after the model of seed tasks, round by round, until enough are new."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, Field

from tunewell.generate.material import Material
from tunewell.generate.tasks.alike import Alike, Likeness
from tunewell.generate.tasks.filters import Instance, instance_flaws, instruction_flaw
from tunewell.generate.tasks.rows import Flaw
from tunewell.generate.tasks.seeds import Seed, bundled_seeds, own_seeds
from tunewell.generate.workshop import Failed, Made, Session, Workshop
from tunewell.records import Example, Message, Origin, Pool, content_id
from tunewell.text import normalise

_NAME = "self_instruct"
_REQUESTS = 8
_TASKS = 10
_SEEDS = 6
_KEPT = 2
_SHOWN = 2
_INSTANCES = 2
_LABELS = 5
_BARREN = 3
_NOTHING = Instance("", "")


class SelfInstructTask(BaseModel):
    """A new task."""

    instruction: str = Field(description="What is asked for, without the text that it is to be done to")
    labels: list[str] = Field(description="All possible answers where the task is a classification; otherwise empty")


class SelfInstructTasks(BaseModel):
    """New tasks."""

    tasks: list[SelfInstructTask]


class SelfInstructInstance(BaseModel):
    """A task carried out once."""

    input: str = Field(description="What the task is done to; empty where it needs nothing")
    output: str = Field(description="The answer")


class SelfInstructInstances(BaseModel):
    """A task carried out on inputs."""

    instances: list[SelfInstructInstance]


class SelfInstructLabelled(BaseModel):
    """An input whose right answer is the label."""

    label: str = Field(description="One of the labels, unchanged")
    input: str = Field(description="A text whose right answer is this label")


class SelfInstructClassified(BaseModel):
    """An input for each label."""

    examples: list[SelfInstructLabelled]


class _Demo(NamedTuple):
    instruction: str
    is_classification: bool
    place: str


class _Request(NamedTuple):
    """Asks for tasks. `shown` are seeds whose answers show length and tone."""

    id: str
    language: str
    demos: tuple[_Demo, ...]
    shown: tuple[Seed, ...]


class _Proposal(NamedTuple):
    """A task that came back for a request, as number `place` of it."""

    request: _Request
    place: int
    instruction: str
    labels: tuple[str, ...]
    session: Session
    nearest: Likeness = Likeness("", 0.0, is_copy=False)

    @property
    def id(self) -> str:
        """What it is known by where it fails."""
        return f"{self.request.id}, task {self.place}"

    @property
    def language(self) -> str:
        """`en` or `zh`."""
        return self.request.language


async def self_instruct(material: Material, rows: int, workshop: Workshop, *, languages: Sequence[str]) -> AsyncIterator[Made]:
    """New tasks with their answers, in equal numbers for each language; without any named, in those of the material.

    Each round sends 8 requests for 10 tasks, each with 6 seeds and 2 kept tasks as examples. A task is left out by length, by
    what it asks for, or because it is not new: ROUGE-L F1 above 0.7 with a seed or a task before it. Then a second call
    carries it out: a classification output-first, an input for each label, since a model that writes the input first prefers
    one label; any other task input-first. After 3 rounds without a kept row a language is given up, which is noted as failed.

    Rejected: `control_tokens`, `too_short`, `too_long`, `blacklist`, `punctuation`, `wrong_language`, `not_new`, `one_label`,
    `unknown_label`, `empty_input`, `empty_output`, `output_is_input`, `ends_with_colon`, `repeated`, `answers_differ`, `surplus`.
    Raises `DataError` for a seed file that cannot be used.
    Source: Wang et al. 2023, arXiv 2212.10560.
    """
    unique = list(dict.fromkeys(languages)) or material.languages()
    writers = [
        _Writer(
            workshop,
            language,
            seeds=own_seeds(material.seeds, language) if material.seeds else bundled_seeds(language),
            pool="domain" if material.seeds else "open",
            draw=material.seed,
            rows=rows // len(unique) + (number < rows % len(unique)),
        )
        for number, language in enumerate(unique)
    ]
    while busy := [writer for writer in writers if writer.goes_on()]:
        for writer in busy:
            for made in await writer.round():
                yield made


@dataclass
class _Writer:
    """Writes the tasks of one language. `draw` is the seed of the draws, `rows` how many are to be kept."""

    workshop: Workshop
    language: str
    seeds: Sequence[Seed]
    pool: Pool
    draw: int
    rows: int
    known: Alike = field(init=False)
    kept: dict[str, _Demo] = field(default_factory=dict)
    kept_rows: int = 0
    rounds: int = 0
    barren: int = 0

    def __post_init__(self) -> None:
        self.known = Alike(seed.instruction for seed in self.seeds)

    def goes_on(self) -> bool:
        return self.kept_rows < self.rows and self.barren < _BARREN and not self.workshop.is_out_of_budget

    async def round(self) -> list[Made]:
        """What one round makes: the rejected proposals, then rows."""
        self.rounds += 1
        before = self.kept_rows
        requests = [self._request(number) for number in range(1, _REQUESTS + 1)]
        answers = await self.workshop.gather(_NAME, requests, self._propose)
        rejected, new = self._sifted([proposal for proposals in answers for proposal in proposals])
        worked = await self.workshop.gather(_NAME, new, self._carry_out)
        made = [self._counted(row) for rows in worked for row in rows]
        self._note_barren(is_barren=self.kept_rows == before)
        return rejected + made

    def _request(self, number: int) -> _Request:
        draw = random.Random(f"{self.draw} {self.language} {self.rounds} {number}")  # noqa: S311
        seeds = draw.sample(self.seeds, min(_SEEDS, len(self.seeds)))
        demos = [_Demo(seed.instruction, seed.is_classification, seed.place) for seed in seeds]
        demos += draw.sample(list(self.kept.values()), min(_KEPT, len(self.kept)))
        draw.shuffle(demos)
        name = f"{self.language} round {self.rounds}, request {number}"
        return _Request(name, self.language, tuple(demos), tuple(seeds[:_SHOWN]))

    async def _propose(self, request: _Request) -> list[_Proposal]:
        session = self.workshop.session(self.language)
        reply = await session.ask(
            "self_instruct.propose", SelfInstructTasks, demos=request.demos, count=_TASKS, is_domain=self.pool == "domain"
        )
        return [
            _Proposal(request, place, " ".join(task.instruction.split()), _labels(task), session.branch())
            for place, task in enumerate(reply.tasks[:_TASKS], start=1)
        ]

    def _sifted(self, proposals: Sequence[_Proposal]) -> tuple[list[Made], list[_Proposal]]:
        rejected: list[Made] = []
        new: list[_Proposal] = []
        for proposal in proposals:
            judged = proposal._replace(nearest=self.known.nearest(proposal.instruction))
            flaw = _proposal_flaw(judged)
            if flaw is None and self.kept_rows + len(new) >= self.rows:
                flaw = self._surplus()
            if flaw:
                rejected.append(Made(_row(judged, self.pool), judged.session, *flaw))
            else:
                new.append(judged)
                self.known.add(judged.instruction)
        return rejected, new

    async def _carry_out(self, proposal: _Proposal) -> list[Made]:
        carry_out = _label_first if proposal.labels else _input_first
        # A task that comes back without any instance is a row without an output.
        instances = await carry_out(proposal) or [_NOTHING]
        flaws = instance_flaws(instances)
        return [
            Made(_row(proposal, self.pool, instance), proposal.session.branch(), *(flaw or _label_flaw(instance, proposal) or ()))
            for instance, flaw in zip(instances, flaws, strict=True)
        ]

    def _counted(self, made: Made) -> Made:
        if made.reason:
            return made
        if self.kept_rows == self.rows:
            return made._replace(**self._surplus()._asdict())
        self.kept_rows += 1
        self.kept[made.example.family] = _Demo(
            made.example.evidence["instruction"], "labels" in made.example.evidence, made.example.id
        )
        return made

    def _surplus(self) -> Flaw:
        return Flaw("surplus", f"{self.rows} rows in `{self.language}` are asked for")

    def _note_barren(self, *, is_barren: bool) -> None:
        self.barren = self.barren + 1 if is_barren else 0
        if self.barren == _BARREN:
            detail = f"{_BARREN} rounds of {_REQUESTS} requests brought no row to keep; {self.kept_rows} of {self.rows} are there"
            self.workshop.failed.append(Failed(_NAME, f"{self.language} round {self.rounds}", "no_new_tasks", detail, ""))


def _proposal_flaw(proposal: _Proposal) -> Flaw | None:
    if flaw := instruction_flaw(proposal.instruction, proposal.language):
        return flaw
    if len(proposal.labels) == 1:
        return Flaw("one_label", f"every answer is: {proposal.labels[0]}")
    if proposal.nearest.is_copy:
        return Flaw("not_new", f"ROUGE-L {proposal.nearest.score:.2f} with: {proposal.nearest.text}")
    return None


async def _input_first(proposal: _Proposal) -> list[Instance]:
    reply = await proposal.session.ask(
        "self_instruct.work",
        SelfInstructInstances,
        instruction=proposal.instruction,
        shown=proposal.request.shown,
        count=_INSTANCES,
    )
    return [Instance(found.input.strip(), found.output.strip()) for found in reply.instances[:_INSTANCES]]


async def _label_first(proposal: _Proposal) -> list[Instance]:
    reply = await proposal.session.ask(
        "self_instruct.classify", SelfInstructClassified, instruction=proposal.instruction, labels=proposal.labels
    )
    spelled = {normalise(label): label for label in proposal.labels}
    found = [(example.input.strip(), example.label.strip()) for example in reply.examples[: len(proposal.labels)]]
    return [Instance(text, spelled.get(normalise(label), label)) for text, label in found]


def _label_flaw(instance: Instance, proposal: _Proposal) -> Flaw | None:
    if not proposal.labels:
        return None
    if not instance.input:
        return Flaw("empty_input", f"nothing to label {instance.output or 'at all'}")
    if instance.output in proposal.labels:
        return None
    return Flaw("unknown_label", f"{instance.output} is none of: {', '.join(proposal.labels)}")


def _labels(task: SelfInstructTask) -> tuple[str, ...]:
    labels = (label.strip() for label in task.labels)
    return tuple({normalise(label): label for label in labels if label}.values())[:_LABELS]


def _row(proposal: _Proposal, pool: Pool, instance: Instance = _NOTHING) -> Example:
    question = "\n".join(text for text in (proposal.instruction, instance.input) if text)
    answer = (Message("assistant", instance.output),) if instance.output else ()
    evidence = {
        "task": _NAME,
        "instruction": proposal.instruction,
        "demonstrations": [demo.place for demo in proposal.request.demos],
        "verdicts": {"alike": round(proposal.nearest.score, 4)},
        **({"labels": list(proposal.labels)} if proposal.labels else {}),
    }
    return Example(
        (Message("user", question), *answer),
        pool,
        Origin(_NAME),
        task=_NAME,
        language=proposal.language,
        # All instances of an instruction descend from it.
        family=content_id((Message("user", proposal.instruction),)),
        evidence=evidence,
    )
