"""What a teacher can be asked to write, task by task."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal, NamedTuple, Protocol

from tunewell.generate.material import Material, Wanted
from tunewell.generate.tasks.cot import COT_ROWS, cot
from tunewell.generate.tasks.doc2conv import doc2conv
from tunewell.generate.tasks.doc2qa import doc2qa
from tunewell.generate.tasks.paraphrase import PARAPHRASE_ROWS, paraphrase
from tunewell.generate.tasks.real_qa import REAL_QA_ROWS, real_qa
from tunewell.generate.tasks.self_instruct import self_instruct
from tunewell.generate.tasks.similarity import SIMILARITY_ROWS, similarity
from tunewell.generate.tasks.summary import summary
from tunewell.generate.workshop import Made, Workshop
from tunewell.recipe import Generate, TaskName

__all__ = ["TASKS"]


class Produce(Protocol):
    """Makes rows of a task until so many are kept or the material is used up."""

    def __call__(self, material: Material, rows: int, workshop: Workshop, /) -> AsyncIterator[Made]:
        """Every row, kept or rejected, in an order that hangs on the material and the answers alone."""
        ...


class Task(NamedTuple):
    """A task: what it works on (documents or rows of the domain, or neither), which of the rows, how it is set up by the recipe."""

    needs: Literal["documents", "rows", ""]
    bind: Callable[[Generate], Produce]
    wanted: Wanted | None = None


TASKS: dict[TaskName, Task] = {
    "self_instruct": Task("", lambda plan: partial(self_instruct, languages=plan.languages)),
    "doc2qa": Task(
        "documents",
        lambda plan: partial(doc2qa, unanswerable=plan.unanswerable, agreement=plan.agreement, closed_book=plan.closed_book),
    ),
    "doc2conv": Task("documents", lambda plan: partial(doc2conv, agreement=plan.agreement, closed_book=plan.closed_book)),
    "summary": Task("documents", lambda plan: summary),
    "real_qa": Task("rows", lambda plan: partial(real_qa, agreement=plan.agreement), REAL_QA_ROWS),
    "paraphrase": Task("rows", lambda plan: paraphrase, PARAPHRASE_ROWS),
    "similarity": Task("rows", lambda plan: similarity, SIMILARITY_ROWS),
    "cot": Task("rows", lambda plan: partial(cot, share=plan.cot_share, agreement=plan.agreement), COT_ROWS),
}
