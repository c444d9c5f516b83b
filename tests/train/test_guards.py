"""The guards in training: the divergence from the base on replay rows, and the retention floor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.train.work import example, log_of, refunds, run_stage, write_mix
from tunewell.errors import RecipeError, TunewellError
from tunewell.model.attention import enable_packed_attention, row_logits
from tunewell.model.load import load_base, load_tuned
from tunewell.template import Loss, open_format
from tunewell.train import stage
from tunewell.train.adapter import Shape, add_lora
from tunewell.train.batches import PackedRow, pack
from tunewell.train.divergence import kl_to_base

_REPLAY = [example(f"Name colour {n}.", f"Colour {n} is blue.", 100 + n, task="replay") for n in range(8)]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mix(tmp_path_factory.mktemp("replayed"), [*refunds(), *_REPLAY])


def _packed(tiny_model: Path) -> PackedRow:
    chat = open_format("auto", AutoTokenizer.from_pretrained(tiny_model))
    return pack([chat.encode(row.messages, Loss()) for row in _REPLAY])


def test_the_divergence_is_zero_at_the_base_and_that_of_the_definition_elsewhere(tiny_model: Path) -> None:
    model = load_base(tiny_model, torch.float32)
    enable_packed_attention(model)
    packed = _packed(tiny_model)
    base = row_logits(model, packed.row, packed.keep).log_softmax(dim=-1)
    adapted = add_lora(model, Shape(4, 8, "all-linear", "lora"), seed=0)
    assert abs(kl_to_base(adapted, adapted, packed).item()) < 1e-5
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    own = row_logits(adapted, packed.row, packed.keep).log_softmax(dim=-1)
    divergence = kl_to_base(adapted, adapted, packed)
    torch.testing.assert_close(divergence, (base.exp() * (base - own)).sum(), rtol=1e-4, atol=1e-5)
    assert divergence.item() > 0.1
    divergence.backward()
    assert all(parameter.grad is not None for parameter in adapted.parameters() if parameter.requires_grad)


def test_the_divergence_pulls_towards_the_base_on_replay_rows(tiny_model: Path, replayed: Path, tmp_path: Path) -> None:
    drifts = {}
    for weight in (0.0, 3.0):
        out = tmp_path / str(weight)
        run_stage(tiny_model, replayed, out, guard={"kl": weight})
        packed = _packed(tiny_model)
        models = load_base(tiny_model, torch.float32), load_tuned(tiny_model, out / "adapter", torch.float32)
        for model in models:
            enable_packed_attention(model)
        base, tuned = (row_logits(model, packed.row, packed.keep).log_softmax(dim=-1) for model in models)
        drifts[weight] = (base.exp() * (base - tuned)).sum(dim=-1).mean().item()
    assert drifts[3.0] < 0.7 * drifts[0.0]
    logged = [line["kl"] for line in log_of(tmp_path / "3.0")]
    assert logged[0] < 1e-3, "the adapter starts as the base, but for rounding"
    assert max(logged) > 0.01
    assert "kl" not in log_of(tmp_path / "0.0")[0]


def test_a_divergence_without_replay_rows_is_refused(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", guard={"kl": 1})
    assert caught.value.problems == (
        "guard.kl: the mixture holds no replay rows to hold the model near its base on; set generate.replay, or kl: 0",
    )


def test_full_training_has_no_base_to_stay_near(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", method="full", guard={"kl": 1})
    assert caught.value.problems == (
        "guard.kl: `train.method: full` changes the base itself, and a second, frozen one beside it is not kept in memory; "
        "take lora or qlora, or 0",
    )


def _scored(*scores: float) -> Callable[..., float]:
    left = iter(scores)
    return lambda model, **_: next(left)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_stops_below_the_floor_and_the_last_weights_within_it_are_kept(
    method: str, tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guard = {"floor": 0.1, "every": 2}
    monkeypatch.setattr(stage, "quick_score", _scored(0.5, 0.48, 0.46, 0.44))
    details = run_stage(tiny_model, mix, tmp_path / "stopped", method=method, guard=guard)
    assert details["steps"] == 6
    assert details["guard"] == {
        "floor": 0.1,
        "items": 64,
        "base": 0.5,
        "kept": {"step": 4, "retention": 0.46},
        "stopped": {"step": 6, "retention": 0.44},
    }
    assert caplog.messages == [
        "retention fell from 0.500 to 0.440 at step 6, below guard.floor: stopped; kept the weights of step 4 (0.460)"
    ]
    assert [line.get("retention") for line in log_of(tmp_path / "stopped")] == [None, 0.48, None, 0.46, None, 0.44]

    kept = _weights_at(4, tiny_model, mix, tmp_path, monkeypatch, method=method)
    [ours] = (tmp_path / "stopped").glob("*/*model.safetensors")
    weights = load_file(ours)
    assert set(weights) == set(kept)
    assert all(torch.equal(weights[name], kept[name]) for name in weights)
    assert not list((tmp_path / "stopped").glob("kept*"))


def _weights_at(
    step: int, tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> dict[str, torch.Tensor]:
    """What the same training had at a step: its checkpoint, when it is cut off there."""
    from tunewell.train import trainer

    original = trainer.RunLog.on_save

    def dying(self: Any, args: Any, state: Any, control: Any, **options: Any) -> None:
        original(self, args, state, control, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.RunLog, "on_save", dying)
        with pytest.raises(KeyboardInterrupt):
            run_stage(tiny_model, mix, tmp_path / "cut", **{**changes, "save_every": step})
    [weights] = (tmp_path / "cut" / "checkpoints" / f"checkpoint-{step}").glob("*model.safetensors")
    return load_file(weights)


def test_a_run_killed_after_it_stopped_is_not_trained_further(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = {"floor": 0.1, "every": 3}
    monkeypatch.setattr(stage, "quick_score", _scored(0.5, 0.48, 0.1))

    def dying(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_weights", dying)
        with pytest.raises(KeyboardInterrupt):
            run_stage(tiny_model, mix, tmp_path / "out", guard=guard)
    details = run_stage(tiny_model, mix, tmp_path / "out", guard=guard)
    assert details["steps"] == 6
    assert details["guard"]["kept"]["step"] == 3


def test_a_first_look_below_the_floor_is_an_error(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "quick_score", _scored(0.5, 0.2))
    with pytest.raises(TunewellError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", guard={"floor": 0.1, "every": 2})
    assert caught.value.what == (
        "retention fell from 0.500 to 0.200 at step 2, below guard.floor, and no earlier weights were within it"
    )
    assert caught.value.hint.startswith("lower train.learning_rate")


def test_the_real_suite_is_looked_at_every_so_many_steps_and_at_the_last(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    details = run_stage(tiny_model, mix, tmp_path / "out", epochs=1, guard={"floor": 1, "every": 2})
    found, log = details["guard"], log_of(tmp_path / "out")
    looks = {line["step"]: line["retention"] for line in log if "retention" in line}
    assert list(looks) == sorted({*range(2, len(log) + 1, 2), len(log)})
    assert all(0 < score < 1 for score in (found["base"], *looks.values()))
    assert len(set(looks.values())) > 1
    assert found["stopped"] is None
    assert found["kept"]["step"] == len(log)
    assert json.loads((tmp_path / "out" / "guard.json").read_text()) == found
