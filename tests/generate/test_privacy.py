"""Personal data in logs: the teacher is not told, the team's own contacts stay."""

import asyncio
from pathlib import Path

from tests.generate.from_rows import row
from tests.generate.golden_rows import ANSWERS
from tests.generate.scripted import ScriptedTeacher
from tunewell.generate.material import Material
from tunewell.generate.privacy import masked, own_contacts
from tunewell.generate.tasks import TASKS
from tunewell.generate.workshop import Workshop
from tunewell.recipe import Generate
from tunewell.records import EXAMPLE_SCHEMA, example_to_row
from tunewell.store import write_rows

LINE = "020 7946 0018"
CALLS = [
    row(f"Whom do I ring about {what}, please? My number is 13812345678.", f"Call +44 {LINE[1:]} about {what}; we answer at once.")
    for what in ("a refund", "a dispute", "a payout", "a terminal")
]


def test_contacts_are_what_answers_give_often_and_nobody_writes() -> None:
    assert own_contacts(CALLS, []) == {"442079460018"}
    assert own_contacts(CALLS[:2], []) == frozenset()
    assert own_contacts(CALLS[:2], ["help@pay.example"]) == {"help@pay.example"}
    asks = row("Is +44 20 7946 0018 you?", "It is.")
    assert own_contacts([*CALLS, asks], []) == frozenset()


def test_a_masked_row_is_known_by_its_old_id() -> None:
    one = masked(CALLS[0], {"442079460018"})
    assert one.question == "Whom do I ring about a refund, please? My number is [phone]."
    assert one.answer == CALLS[0].answer
    assert (one.id, one.family) == (CALLS[0].id, CALLS[0].family)
    assert masked(row("Who are you?", "A shop."), ()) == row("Who are you?", "A shop.")


def test_no_prompt_of_any_task_tells_a_number(tmp_path: Path) -> None:
    write_rows(tmp_path / "examples", EXAMPLE_SCHEMA, map(example_to_row, CALLS))
    for task in ("real_qa", "paraphrase", "similarity", "cot"):
        material = Material(tmp_path, (), 0, own_contacts(CALLS, []))
        teacher = ScriptedTeacher(ANSWERS)

        async def collect(task: str = task, material: Material = material, teacher: ScriptedTeacher = teacher) -> int:
            produce = TASKS[task].bind(Generate())  # type: ignore[index]
            return len([made async for made in produce(material, 4, Workshop(teacher))])

        assert asyncio.run(collect()) > 0
        assert teacher.prompts
        assert not any("13812345678" in prompt for prompt in teacher.prompts)
        assert any("[phone]" in prompt for prompt in teacher.prompts)
