"""`tunewell model …`: work on the folders of base models."""

from pathlib import Path
from typing import Annotated

import typer

from tunewell.text import visible

model = typer.Typer(help="Work on the folders of base models.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[Path, typer.Argument(help="Folder of a checkpoint in an old remote-code layout.", metavar="SOURCE")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; new or empty.", metavar="DIR")]
ShardSize = Annotated[float, typer.Option("--shard-gb", min=0.001, help="Largest file of weights, in gigabytes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


@model.command()
def convert(source: Source, out: Out, shard_gb: ShardSize = 5.0, as_json: AsJson = False) -> None:
    """Write a Baichuan or ChatGLM checkpoint as a plain transformers folder that needs no remote code."""
    from tunewell.cli.show import emit_json, print_rows, talk
    from tunewell.model.convert import convert_checkpoint
    from tunewell.model.load import quiet_transformers

    quiet_transformers()
    done = convert_checkpoint(source, out, shard_bytes=int(shard_gb * 1e9))
    if done.note:
        talk.print(f"note: {visible(done.note)}", soft_wrap=True, markup=False)
    names = {"model": str(done.model), "architecture": done.architecture}
    counts = {"parameters": done.parameters, "tensors": done.tensors}
    if as_json:
        emit_json(names | counts)
    else:
        print_rows(("", ""), [*names.items(), *((name, f"{count:,}") for name, count in counts.items())])
