"""Configs of published models, as their config.json files give them, and of tiny models of many architectures."""

import json
from pathlib import Path
from typing import Any

_LLAMA = {"model_type": "llama", "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000}

PUBLISHED: dict[str, dict[str, Any]] = {
    "LLaMA2-7B": {**_LLAMA, "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008},
    "LLaMA-13B": {
        **_LLAMA,
        "hidden_size": 5120,
        "num_hidden_layers": 40,
        "intermediate_size": 13824,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
    },
    "Llama-3.2-3B": {
        "model_type": "llama",
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "intermediate_size": 8192,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "Llama-3-8B": {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "Llama-3-70B": {
        "model_type": "llama",
        "hidden_size": 8192,
        "num_hidden_layers": 80,
        "intermediate_size": 28672,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "Qwen2-7B": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "Qwen2.5-14B": {
        "model_type": "qwen2",
        "hidden_size": 5120,
        "num_hidden_layers": 48,
        "intermediate_size": 13824,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "GPT-2": {"model_type": "gpt2"},
    "Mistral-7B": {"model_type": "mistral", "vocab_size": 32000, "num_key_value_heads": 8},
    "Gemma-7B": {
        "model_type": "gemma",
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "intermediate_size": 24576,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "vocab_size": 256000,
    },
}

_TINY = {
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 128,
    "head_dim": 16,
    "pad_token_id": 0,
}

TINY: dict[str, dict[str, Any]] = {
    "llama": {**_TINY, "model_type": "llama"},
    "llama, tied": {**_TINY, "model_type": "llama", "tie_word_embeddings": True},
    "qwen2": {**_TINY, "model_type": "qwen2"},
    "qwen3": {**_TINY, "model_type": "qwen3"},
    "mistral": {**_TINY, "model_type": "mistral"},
    "gemma": {**_TINY, "model_type": "gemma"},
    "gemma2": {**_TINY, "model_type": "gemma2"},
    "gemma3": {**_TINY, "model_type": "gemma3_text"},
    "phi3": {**_TINY, "model_type": "phi3", "head_dim": 8},
    "glm": {**_TINY, "model_type": "glm"},
    "glm4": {**_TINY, "model_type": "glm4"},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 320, "n_positions": 64},
    "opt": {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 16,
        "ffn_dim": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 320,
        "do_layer_norm_before": False,
    },
    "gpt_neox": {**_TINY, "model_type": "gpt_neox"},
    "bloom": {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 320},
    "qwen3_moe": {**_TINY, "model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
}


def write_config(folder: Path, values: dict[str, Any]) -> Path:
    """Write a config.json into a folder of its own and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder
