"""SIGTERM ends a run with a checkpoint, running out of memory with a batch that fits."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.work import example, log_of, run_stage, write_mix
from tunewell import cli
from tunewell.errors import MachineError, Preempted
from tunewell.train import checkpoints, survival, trainer
from tunewell.train.batches import PackedRow
from tunewell.train.loss import supervised_loss


def _weights(out: Path) -> bytes:
    return (out / "adapter" / "adapter_model.safetensors").read_bytes()


def _terminate_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own = trainer.RunLog.on_step_begin

    def on_step_begin(self: trainer.RunLog, args: Any, state: Any, control: Any, **options: Any) -> None:
        if state.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        own(self, args, state, control, **options)

    monkeypatch.setattr(trainer.RunLog, "on_step_begin", on_step_begin)


def test_sigterm_saves_and_the_same_run_goes_on_to_the_same_weights(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "whole", epochs=2)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        _terminate_at(4, patch)
        with pytest.raises(Preempted, match=r"after 4 of \d+ steps; the same command goes on"):
            run_stage(tiny_model, mix, tmp_path / "cut", epochs=2)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert checkpoints.newest_whole(tmp_path / "cut" / "checkpoints") == tmp_path / "cut" / "checkpoints" / "checkpoint-4"
    run_stage(tiny_model, mix, tmp_path / "cut", epochs=2)
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


def test_sigterm_at_the_last_step_changes_nothing(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = run_stage(tiny_model, mix, tmp_path / "whole", epochs=1)["steps"]
    _terminate_at(steps, monkeypatch)
    assert run_stage(tiny_model, mix, tmp_path / "asked", epochs=1)["steps"] == steps


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    found: list[Any] = []

    def look() -> None:
        with survival.heeding_sigterm():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [handler]


def test_a_run_that_was_asked_to_end_exits_with_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end() -> None:
        raise Preempted("stopped by SIGTERM after 4 of 9 steps; the same command goes on from there")

    monkeypatch.setattr("tunewell.cli.app.app", end)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().err == "stopped by SIGTERM after 4 of 9 steps; the same command goes on from there\n"


def _small_memory(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(model: torch.nn.Module, head: torch.nn.Module, packed: PackedRow) -> torch.Tensor:
        if packed.row.input_ids.shape[1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return supervised_loss(model, head, packed)

    monkeypatch.setattr(trainer, "supervised_loss", loss)


def test_out_of_memory_names_a_batch_that_went_through(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = write_mix(tmp_path / "mix", [example("Why?", "So it is. " * length, length) for length in (1, 2, 3, 16)])
    _small_memory(96, monkeypatch)
    with pytest.raises(MachineError, match=r"memory ran out at step \d+, which has \d+ tokens") as caught:
        run_stage(tiny_model, mix, tmp_path / "out", batch_tokens=1, context=512)
    fits = max(line["tokens"] for line in log_of(tmp_path / "out"))
    assert f"set train.batch_tokens: {fits}, which went through" in caught.value.hint
    assert "tunewell plan" in caught.value.hint


def test_where_nothing_went_through_half_is_proposed(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _small_memory(0, monkeypatch)
    with pytest.raises(MachineError, match="memory ran out at step 1") as caught:
        run_stage(tiny_model, mix, tmp_path)
    assert "no step went through yet" in caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="asks for more memory than Linux hands out")
def test_torchs_own_words_for_it_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert survival._is_out_of_memory(caught.value)
    assert not survival._is_out_of_memory(RuntimeError("shapes do not match"))


def test_as_many_checkpoints_are_kept_as_asked_for(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _terminate_at(10, monkeypatch)
    with pytest.raises(Preempted):
        run_stage(tiny_model, mix, tmp_path, guard={"keep": 3}, save_every=2)
    kept = {path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")}
    assert kept == {"checkpoint-6", "checkpoint-8", "checkpoint-10"}


def test_tensorboard_follows_a_run(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    run_stage(tiny_model, mix, tmp_path, epochs=1, report_to=["tensorboard"])
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").rglob("events.*"))
    assert b"train/loss" in events
    assert b"train/grad_norm" in events


def test_a_missing_package_is_named_before_anything_is_loaded(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"train\.report_to: the package wandb is missing"):
        run_stage(tiny_model, mix, tmp_path, report_to=["wandb"])
