"""A share of a training's change: on the line between base and tuned model, whatever form it was saved in."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.work import IDS, refunds, run_stage, write_mix
from tunewell.model.lineage import Trained, check_lineage, open_trained, read_lineage, weights_digest
from tunewell.model.load import load_base, load_trained
from tunewell.model.scale import load_scaled, save_scaled


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(IDS).logits
    return logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scaled")


@pytest.fixture(scope="module", params=["lora", "dora", "full", "merged"])
def trained(request: pytest.FixtureRequest, tiny_model: Path, folder: Path) -> Trained:
    mix = write_mix(folder / f"mix-{request.param}", refunds())
    out = folder / request.param
    if request.param == "merged":
        run_stage(tiny_model, mix, folder / "first", epochs=1)
    changes: dict[str, dict[str, Any]] = {
        "lora": {},
        "dora": {"variant": "dora"},
        "full": {"method": "full", "learning_rate": 1e-3},
        "merged": {"start": {"merge": str(folder / "first")}},
    }
    run_stage(tiny_model, mix, out, epochs=1, **changes[request.param])
    return open_trained(out, tiny_model)


def test_nothing_and_all_of_the_change_are_base_and_tuned(trained: Trained, tiny_model: Path) -> None:
    start = trained.base if trained.kind == "adapter" else tiny_model
    assert torch.equal(_logits(load_scaled(trained, tiny_model, 0, torch.float32)), _logits(load_base(start, torch.float32)))
    assert torch.equal(_logits(load_scaled(trained, tiny_model, 1, torch.float32)), _logits(load_trained(trained, torch.float32)))


def test_weights_lie_on_the_line(trained: Trained, tiny_model: Path) -> None:
    start = trained.base if trained.kind == "adapter" else tiny_model
    base, tuned = (
        dict(load.named_parameters()) for load in (load_base(start, torch.float32), load_trained(trained, torch.float32))
    )
    for name, weights in load_scaled(trained, tiny_model, 0.3, torch.float32).named_parameters():
        torch.testing.assert_close(weights, base[name] + 0.3 * (tuned[name] - base[name]), rtol=1e-5, atol=1e-6)


def test_what_is_saved_gives_the_same_model_and_tells_where_it_comes_from(
    trained: Trained, tiny_model: Path, tmp_path: Path
) -> None:
    kind = save_scaled(trained, tiny_model, 0.3, tmp_path / "saved")
    simple = trained.kind == "adapter" and trained.base == tiny_model and trained.folder.parent.name != "dora"
    assert kind == ("adapter" if simple else "model")
    saved = Trained(kind, tmp_path / "saved", tiny_model)
    scaled = _logits(load_scaled(trained, tiny_model, 0.3, torch.float32))
    torch.testing.assert_close(_logits(load_trained(saved, torch.float32)), scaled, rtol=1e-4, atol=1e-4)
    lineage = read_lineage(saved.folder)
    assert lineage is not None
    assert (lineage["start"], lineage["alpha"]) == ("scale", 0.3)
    assert lineage["parents"][-1]["weights"] == weights_digest(trained.folder)
    assert {"contract.json", "tokenizer.json"} <= {path.name for path in saved.folder.iterdir()}
    assert (saved.folder / "adapter_config.json").exists() == simple
    if simple:
        check_lineage(saved.folder, tiny_model)
