"""The sweeps that train: what each compares, and what a recipe must have for it."""

import glob
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tunewell.errors import DataError, RecipeError
from tunewell.pipeline import stage_folder
from tunewell.recipe import Recipe
from tunewell.store import read_examples
from tunewell.sweep.trials import Preset, Trial

RATIOS = "1:0.5,1:3,1:4"
"""Open to domain, where nothing else is said."""
SHARES = "0.25,0.5,1"
"""Shares of the domain rows, where nothing else is said."""
_ADAPTER_TO_FULL = 0.1
"""Learning rate of full fine-tuning beside that of an adapter: its optimum lies about ten times lower (Schulman et al. 2025,
"LoRA Without Regret")."""
_NO_DOMAIN = 1e-9
"""A share of domain rows, which must be above 0, that gives none."""
_COT_SHARES = {"none": 0.0, "half": 0.5, "all": 1.0}


def methods() -> Preset:
    """Full fine-tuning, LoRA and QLoRA on the same mixture, full fine-tuning at a tenth of the others' learning rate."""
    return Preset("method", lambda recipe: None, lambda recipe, run_dir, folder: _methods(recipe))


def continued() -> Preset:
    """From the base, from an adapter that is trained on, and from the base with that adapter folded in.

    The adapter is that of `train.start`, or one that is trained first on the open rows alone.
    """
    return Preset("continue", _check_continued, lambda recipe, run_dir, folder: _continued(recipe, folder))


def reasoned() -> Preset:
    """None, half and all of the teacher's `cot` rows with their reasoning; the others give the same answers at once."""
    return Preset("cot", _check_cot, lambda recipe, run_dir, folder: _cot(run_dir))


def ratios(written: str = RATIOS) -> Preset:
    """Several proportions of open to domain rows, written as `1:0.5,1:3`. Raises `RecipeError` where they cannot be read."""
    trials = [_ratio(text.strip()) for text in written.split(",") if text.strip()]
    if len({trial.name for trial in trials}) < max(2, len(trials)):
        raise RecipeError([f"{written}: expected at least two ratios, each once"], where="--ratios", hint=f"such as {RATIOS}")
    return Preset("ratio", lambda recipe: None, lambda recipe, run_dir, folder: trials)


def scales(written: str = SHARES) -> Preset:
    """Several shares of the domain rows, each file giving its share, with open rows in the same ratio: a learning curve.

    Raises `RecipeError` where they cannot be read.
    """
    names = [text.strip() for text in written.split(",") if text.strip()]
    shares = [_share(name) for name in names]
    if len(set(shares)) < max(2, len(names)):
        raise RecipeError([f"{written}: expected at least two shares, each once"], where="--shares", hint=f"such as {SHARES}")
    return Preset(
        "scale",
        lambda recipe: None,
        lambda recipe, run_dir, folder: _scaled(recipe, run_dir, dict(zip(names, shares, strict=True))),
        is_curve=True,
    )


def _methods(recipe: Recipe) -> list[Trial]:
    rate = recipe.train.learning_rate
    is_full = recipe.train.method == "full"
    full_rate, adapter_rate = (rate, rate / _ADAPTER_TO_FULL) if is_full else (rate * _ADAPTER_TO_FULL, rate)
    # Rounded, so that 5e-4 becomes 5e-5 and not 5.000000000000001e-05.
    rates = {"full": full_rate, "lora": adapter_rate, "qlora": adapter_rate}
    return [Trial(name, {"train.method": name, "train.learning_rate": float(f"{rates[name]:.12g}")}) for name in rates]


def _check_continued(recipe: Recipe) -> None:
    if recipe.train.method == "full":
        raise RecipeError(
            ["train.method: `full` trains no adapter, and this sweep compares what becomes of one"],
            where="sweep continue",
            hint="`--set train.method=lora`",
        )
    if recipe.train.start == "base" and not (recipe.data.open or recipe.generate.replay):
        raise RecipeError(
            ["data.open: the first adapter is trained on open rows, and there are none"],
            where="sweep continue",
            hint="give data.open or generate.replay, or an adapter of yours: `--set 'train.start={continue: ADAPTER}'`",
        )


def _continued(recipe: Recipe, folder: Path) -> list[Trial]:
    first: list[Trial] = []
    start = recipe.train.start
    if start == "base":
        only_open = {"data.ratio": {"open": 1, "domain": _NO_DOMAIN}, "data.when_short": "shrink"}
        first = [Trial("first", only_open, until="train")]
        adapter = str(folder.resolve() / first[0].folder_name)
    else:
        assert isinstance(start, dict)
        adapter = next(iter(start.values()))
    needs = "first" if first else ""
    return [
        *first,
        Trial("base", {"train.start": "base"}),
        *(Trial(how, {"train.start": {how: adapter}}, needs=needs) for how in ("continue", "merge")),
    ]


def _check_cot(recipe: Recipe) -> None:
    if "cot" not in recipe.generate.tasks:
        raise RecipeError(
            ["generate.tasks: there are no `cot` rows, whose reasoning this sweep leaves out or shows"],
            where="sweep cot",
            hint="a teacher writes them: `teacher: {server: URL, model: NAME}` and `generate: {tasks: {cot: 200}}`",
        )


def _cot(run_dir: Path) -> list[Trial]:
    mixture = stage_folder(run_dir, "mix") / "train"
    if not any(row.task == "cot" for row in read_examples(mixture)):
        hint = f"see in {stage_folder(run_dir, 'generate')} what became of them; set generate.tasks.cot higher"
        raise DataError("no `cot` row reached the mixture", where=str(mixture), hint=hint)
    return [Trial(name, {"generate.cot_share": share}) for name, share in _COT_SHARES.items()]


def _ratio(text: str) -> Trial:
    parts = text.split(":")
    try:
        shares = [float(part) for part in parts]
    except ValueError:
        shares = []
    if len(shares) != 2 or not (0 <= shares[0] < float("inf") and 0 < shares[1] < float("inf")):
        raise RecipeError(
            [f"{text}: expected open:domain, two numbers, that of domain above 0"], where="--ratios", hint=f"such as {RATIOS}"
        )
    return Trial(text, {"data.ratio": {"open": shares[0], "domain": shares[1]}})


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise RecipeError([f"{text}: expected a share above 0 and at most 1"], where="--shares", hint=f"such as {SHARES}")
    return share


def _scaled(recipe: Recipe, run_dir: Path, shares: Mapping[str, float]) -> list[Trial]:
    """All rows are those that the main run's mixture trains on; a cap of the recipe's own holds as well."""
    rows = {row.id: row.origin.path for row in read_examples(stage_folder(run_dir, "mix") / "train") if row.pool == "domain"}
    sources = Counter(rows.values())

    def capped(share: float) -> dict[str, object]:
        caps = {glob.escape(source): max(1, round(share * count)) for source, count in sorted(sources.items())}
        return {"data.caps": {**recipe.data.caps, **caps}} if share < 1 else {}

    return [Trial(name, capped(share)) for name, share in shares.items()]
