"""Every failure a user can see, as one tree.

    TunewellError            exit 1   something failed that is not the user's mistake
    ├── UserError            exit 2   a mistake the user can mend; shown without a traceback
    │   ├── RecipeError               a recipe with one or more wrong keys or values
    │   ├── DataError                 a data file or row that cannot be used
    │   ├── ModelError                a model or adapter that cannot be found, loaded or matched
    │   ├── TemplateError             a prompt format that cannot be applied
    │   ├── TeacherError              a teacher that cannot be reached, or refuses the key or the model
    │   └── MachineError              disk full, folder read-only, package missing
    ├── RequirementNotMet    exit 3   `--require` asked for a verdict that the run did not reach
    └── Preempted            exit 0   the system asked for the machine; what was done is saved

Anything else that escapes is a bug of ours and keeps its traceback.
"""

from collections.abc import Sequence


class TunewellError(Exception):
    """What went wrong, where (`file:line` or recipe key), and how to mend it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        first_line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{first_line}\n\nhint: {self.hint}" if self.hint else first_line


class UserError(TunewellError):
    """A mistake the user can mend."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe with wrong keys or values; all of them are listed at once."""

    def __init__(self, problems: Sequence[str], *, where: str, hint: str = "") -> None:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__("\n".join([f"{count} in the recipe", *(f"  {problem}" for problem in problems)]), where=where, hint=hint)
        self.problems = tuple(problems)


class DataError(UserError):
    """A data file or row that cannot be used."""


class ModelError(UserError):
    """A model or adapter that cannot be found, loaded or matched."""


class TemplateError(UserError):
    """A prompt format that cannot be applied."""


class TeacherError(UserError):
    """A teacher that cannot be reached, or refuses the key or the model."""


class MachineError(UserError):
    """The machine stands in the way: disk full, folder read-only, package missing."""


class RequirementNotMet(TunewellError):
    """`--require` asked for a verdict that the run did not reach."""

    exit_code = 3


class Preempted(TunewellError):
    """SIGTERM asked the process to end; it has saved what it did, and the same command goes on from there."""

    exit_code = 0
