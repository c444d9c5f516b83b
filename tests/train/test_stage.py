"""Training a tiny model: it learns, it leaves out what it cannot train, and a cut-off run ends as an uninterrupted one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.work import example, run_stage
from tunewell.errors import DataError, ModelError, RecipeError, TunewellError
from tunewell.model import attention
from tunewell.model.load import load_base, load_tuned
from tunewell.records import EXAMPLE_SCHEMA, example_to_row
from tunewell.store import write_rows
from tunewell.template import Encoded
from tunewell.train import checkpoints, isolation, trainer
from tunewell.train.loss import supervised_loss


def _weights(out: Path) -> bytes:
    return (out / "adapter" / "adapter_model.safetensors").read_bytes()


def test_the_loss_falls_and_everything_is_written(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    details = run_stage(tiny_model, mix, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, details["steps"] + 1))
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert details["trained_tokens"] == sum(line["tokens"] for line in log)
    assert details["supervised_tokens"] < details["trained_tokens"]
    assert json.loads((tmp_path / "training.json").read_text()) == details
    assert not (tmp_path / "checkpoints").exists()
    lineage = json.loads((tmp_path / "adapter" / "lineage.json").read_text())
    assert set(lineage) == {"base", "data", "template", "seed", "method", "start", "parents", "versions"}
    preview = json.loads((tmp_path / "preview.json").read_text())
    assert len(preview) == 3
    assert any(trained for _, trained, _ in preview[0]["tokens"])


def test_the_adapter_loads_and_changes_the_model(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path, epochs=1)
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        base = load_base(tiny_model, torch.float32)(ids).logits
        tuned = load_tuned(tiny_model, tmp_path / "adapter", torch.float32)(ids).logits
    assert not torch.allclose(base, tuned)


def test_a_run_cut_off_at_any_point_ends_bit_for_bit_as_an_uninterrupted_one(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage(tiny_model, mix, tmp_path / "whole")
    original = trainer.RunLog.on_log
    cut = tmp_path / "cut"
    for step in (2, 8):
        monkeypatch.setattr(trainer.RunLog, "on_log", _dying_at(step, original))
        with pytest.raises(KeyboardInterrupt):
            run_stage(tiny_model, mix, cut)
    monkeypatch.setattr(trainer.RunLog, "on_log", original)
    assert checkpoints.newest_whole(cut / "checkpoints") == cut / "checkpoints" / "checkpoint-6"
    run_stage(tiny_model, mix, cut)
    assert _weights(cut) == _weights(tmp_path / "whole")
    assert [json.loads(line)["step"] for line in (cut / "log.jsonl").read_text().splitlines()] == [
        json.loads(line)["step"] for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    ]


def _dying_at(step: int, original: Any) -> Any:
    def dying(self: trainer.RunLog, args: Any, state: Any, control: Any, **options: Any) -> None:
        original(self, args, state, control, **options)
        if state.global_step == step:
            raise KeyboardInterrupt

    return dying


def test_a_broken_checkpoint_is_passed_over_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (3, 6, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_bytes(b"w" * 50)
        checkpoints.seal(folder)
    (tmp_path / "checkpoint-12" / "weights").write_bytes(b"w" * 49)
    (tmp_path / "checkpoint-6" / ".complete.json").unlink()
    assert checkpoints.newest_whole(tmp_path) == tmp_path / "checkpoint-3"
    assert [record.message.split()[0] for record in caplog.records] == ["checkpoint-12", "checkpoint-6"]
    assert not (tmp_path / "checkpoint-12").exists()


def test_rows_that_cannot_be_trained_are_listed_with_their_reason(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    own = tmp_path / "mix"
    shutil.copytree(mix, own)
    examples = [
        example("short", "fine", 1),
        example("long", "word " * 200, 2),
        example("control <|im_end|>", "x", 3),
    ]
    write_rows(own / "train", EXAMPLE_SCHEMA, map(example_to_row, examples))
    details = run_stage(tiny_model, own, tmp_path / "out", epochs=1)
    assert (details["rows"], details["left_out"]) == (1, 2)
    listed = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert [row["origin"] for row in listed] == ["rows.jsonl:2", "rows.jsonl:3"]
    assert "more than train.context (96)" in listed[0]["reason"]
    assert "control token" in listed[1]["reason"]


def test_no_trainable_row_at_all_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "mix" / "train", EXAMPLE_SCHEMA, [example_to_row(example("long", "word " * 200, 1))])
    with pytest.raises(DataError, match="no row can be trained"):
        run_stage(tiny_model, tmp_path / "mix", tmp_path / "out")


def test_targets_that_the_model_does_not_have_are_named(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.targets: \['W_pack'\].*q_proj"):
        run_stage(tiny_model, mix, tmp_path, targets=["W_pack"])


def test_a_loss_that_is_no_number_stops_with_a_hint(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "supervised_loss", lambda *arguments: supervised_loss(*arguments) * float("nan"))
    with pytest.raises(TunewellError, match="the loss is nan at step 1") as caught:
        run_stage(tiny_model, mix, tmp_path)
    assert "learning_rate" in caught.value.hint


def test_an_architecture_that_ignores_the_segments_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_base(tiny_model, torch.float32)
    attention.enable_packed_attention(model)
    examples = [Encoded(list(range(3, 40)), [-100, *range(4, 40)]), Encoded(list(range(90, 120)), [-100, *range(91, 120)])]
    assert isolation.check_isolation(model, examples) < 1e-4

    def blind(model: torch.nn.Module, row: attention.Row, keep: torch.Tensor) -> torch.Tensor:
        whole = attention.Segment(attention.Span(0, row.input_ids.shape[1]))
        return attention.row_logits(model, row._replace(segments=(whole,)), keep)

    monkeypatch.setattr(isolation, "row_logits", blind)
    monkeypatch.setitem(isolation._TOLERANCE, torch.float32, 1e-5)
    with pytest.raises(ModelError, match="see each other"):
        isolation.check_isolation(model, examples)
