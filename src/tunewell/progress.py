"""Progress bars on stderr, with time left and a note."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar(NamedTuple):
    """A progress display and its one bar."""

    progress: Progress
    task: TaskID


@contextmanager
def progress_bar(name: str, *, total: int) -> Iterator[Bar]:
    """A bar that shows name, share done, time used and left, and a note; it leaves no trace when it is done.

    Silent where stderr is no terminal.
    """
    columns = (
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(name, total=total, note=""))
