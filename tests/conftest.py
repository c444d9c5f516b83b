"""A tiny random model with a real tokenizer and a real chat template, and rows to train it on."""

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of two workers that wait for each other's cores take twice as long

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TEXTS = [
    "How long does a refund take? It takes five business days.",
    "Where do I see my payouts? Open the Dashboard and choose Payouts.",
    "退款需要几天？银行卡退款需要五到十个工作日。",
    "Name a colour. Blue is a colour. What is two plus two? Four.",
]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the hashes that tests remember out of the user's cache, but let them use the embedded model that lies there."""
    import platformdirs

    patch = pytest.MonkeyPatch()
    models = Path(platformdirs.user_cache_dir("tunewell")) / "models"
    own = tmp_path_factory.mktemp("cache")
    (own / "tunewell").mkdir()
    models.mkdir(parents=True, exist_ok=True)
    (own / "tunewell" / "models").symlink_to(models)
    patch.setenv("XDG_CACHE_HOME", str(own))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama: 2 layers of width 32, a byte-level vocabulary of some 300 tokens, ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        _TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=CHATML
    )
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


_ANIMALS = ["otter", "heron", "badger", "newt", "finch", "lynx", "marten", "stoat", "wren", "vole", "hare", "crane", "toad", "ibis"]
_VERBS = ["feed", "house", "weigh", "transport", "register", "insure"]


def pytest_collection_finish() -> None:
    """Modules stay for good: collecting garbage need not look at their millions of objects."""
    gc.freeze()


@pytest.fixture
def recipe_path(tmp_path: Path, tiny_model: Path) -> Path:
    """A recipe beside its data."""
    folder = tmp_path / "project"
    folder.mkdir()
    rows = [
        {
            "question": f"{verb.title()} my {animal}: what does clerk {place} need {place * 7}?",
            "answer": f"Form {place} for the {animal}.",
        }
        for place, animal in enumerate(_ANIMALS)
        for verb in _VERBS[place % 3 :: 3]
    ]
    (folder / "domain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    general = [{"instruction": f"Say {word} {place}", "output": word} for place, word in enumerate(_ANIMALS)]
    (folder / "open.json").write_text(json.dumps(general), encoding="utf-8")
    recipe = {
        "model": str(tiny_model),
        "data": {"domain": ["domain.jsonl"], "open": ["open.json"], "holdout": 0.3},
        "generate": {"replay": 4, "max_new_tokens": 4},
        "clean": {"novelty": 1},
        "train": {"rank": 4, "epochs": 3, "learning_rate": 0.01, "batch_tokens": 256, "save_every": 2},
        "evaluate": {
            "items": 12,
            "max_new_tokens": 4,
            "brittleness": 2,
            "constraints": 4,
            "leakage": 6,
            "drift": 4,
            "retention": 16,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path
