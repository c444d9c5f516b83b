"""`tunewell review RUN`: a page on this machine on which a person accepts, mends or rejects generated rows."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewell.text import visible

if TYPE_CHECKING:
    from tunewell.review import Places, Sample

RunFolder = Annotated[Path, typer.Argument(help="A run whose stage `generate` is done.", metavar="RUN")]
Reviewer = Annotated[str, typer.Option(help="Whose judgements these are; each reviewer has a file of their own.", envvar="USER")]
SampleSize = Annotated[int | None, typer.Option("--sample", min=1, help="Judge so many rows drawn at random, for an error rate.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the draw. Default: the run's.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 takes a free one.")]
PageLanguage = Annotated[Literal["en", "zh"] | None, typer.Option("--lang", help="Language of the page. Default: the report's.")]
OpenBrowser = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
StateOnly = Annotated[bool, typer.Option("--status", help="Say how far the review is, without opening the page.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def review(  # noqa: PLR0913  the options of the command
    run: RunFolder,
    reviewer: Reviewer = "reviewer",
    sample: SampleSize = None,
    seed: Seed = None,
    port: Port = 0,
    lang: PageLanguage = None,
    open_browser: OpenBrowser = False,
    state_only: StateOnly = False,
    as_json: AsJson = False,
) -> None:
    """Open a page on which a person accepts, mends or rejects generated rows. The stage `clean` honours what they decide."""
    from tunewell.cli.show import emit_json, talk
    from tunewell.pipeline import stage_folder
    from tunewell.recipe import load_recipe
    from tunewell.review import Places, Sample, state_of_review, summary_of_review
    from tunewell.review import review as open_page

    recipe = load_recipe(run / "recipe.yaml")
    places = Places(stage_folder(run, "generate"), stage_folder(run, "collect"), run / "review")
    drawn = None if sample is None else Sample(sample, recipe.seed if seed is None else seed)
    language = lang or recipe.report.language

    def ready(address: str) -> None:
        talk.print(f"{address}\nCtrl+C ends the review; every judgement is on disk.", soft_wrap=True, markup=False)
        if open_browser:
            webbrowser.open(address)

    if not state_only:
        try:
            open_page(places, reviewer, drawn, port=port, language=language, ready=ready)
        except KeyboardInterrupt:
            talk.print()
    state = state_of_review(places, drawn)
    _tell_card(places, drawn)
    if as_json:
        emit_json(state)
        return
    for line in summary_of_review(places, drawn, language=language):
        typer.echo(visible(line))


def _tell_card(places: "Places", drawn: "Sample | None") -> None:
    """Put into the data card beside the rows the error rate of this sample or of an earlier one, whichever says more."""
    from tunewell.cli.show import talk
    from tunewell.errors import MachineError
    from tunewell.generate import note_review, noted_review
    from tunewell.review import Sample, best_known
    from tunewell.store import friendly_disk_errors

    earlier = noted_review(places.generate)
    samples = [*([drawn] if drawn else []), *([Sample(earlier["size"], earlier["seed"])] if earlier else [])]
    try:
        with friendly_disk_errors(places.generate):
            note_review(places.generate, best_known(places, samples) if samples else None)
    except MachineError as error:
        talk.print(f"warning: the data card stays as it was: {visible(str(error))}", soft_wrap=True, markup=False)
