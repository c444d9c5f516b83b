"""Small random checkpoints in old layouts, and what their old code computes, written out in plain torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize, silu

State = dict[str, Tensor]
Config = dict[str, Any]

BAICHUAN: Config = {
    "model_type": "baichuan",
    "architectures": ["BaiChuanForCausalLM"],
    "auto_map": {"AutoModelForCausalLM": "modeling_baichuan.BaiChuanForCausalLM"},
    "vocab_size": 64000,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
BAICHUAN2: Config = {**BAICHUAN, "architectures": ["BaichuanForCausalLM"], "vocab_size": 125696, "z_loss_weight": 0}
CHATGLM: Config = {
    "model_type": "chatglm",
    "architectures": ["ChatGLMModel"],
    "auto_map": {"AutoModelForCausalLM": "modeling_chatglm.ChatGLMForConditionalGeneration"},
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True,
    "apply_residual_connection_post_layernorm": False,
    "ffn_hidden_size": 40,
    "hidden_size": 48,
    "kv_channels": 16,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 2,
    "original_rope": True,
    "padded_vocab_size": 320,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 32768,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}


def write(folder: Path, config: Config, state: State | None = None) -> Path:
    """A checkpoint in one file, or its config alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if state is not None:
        save_file(state, folder / "model.safetensors")
    return folder


def glm(folder: Path, **changes: Any) -> Path:
    """A checkpoint of ChatGLM whose config has some other values."""
    return write(folder, CHATGLM | changes, chatglm_state(CHATGLM))


def sharded(folder: Path, state: State, suffix: str) -> Path:
    """Three files and their index, as large checkpoints come."""
    names = sorted(state)
    files = {name: f"weights-{number % 3}.{suffix}" for number, name in enumerate(names)}
    for file in set(files.values()):
        part = {name: state[name] for name in names if files[name] == file}
        if suffix == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
    index = "pytorch_model.bin.index.json" if suffix == "bin" else "model.safetensors.index.json"
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return folder


def baichuan_state(config: Mapping[str, Any]) -> State:
    """Random tensors under the names of modeling_baichuan.py."""
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for n in range(config["num_hidden_layers"]):
        layer = f"model.layers.{n}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.self_attn.W_pack.weight": (3 * hidden, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, hidden),
            f"{layer}.self_attn.rotary_emb.inv_freq": (hidden // config["num_attention_heads"] // 2,),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
            f"{layer}.mlp.gate_proj.weight": (inner, hidden),
            f"{layer}.mlp.up_proj.weight": (inner, hidden),
            f"{layer}.mlp.down_proj.weight": (hidden, inner),
        }
    return _random(shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)})


def chatglm_state(config: Mapping[str, Any]) -> State:
    """Random tensors under the names of modeling_chatglm.py."""
    hidden, inner, vocabulary = config["hidden_size"], config["ffn_hidden_size"], config["padded_vocab_size"]
    heads = config["num_attention_heads"] * config["kv_channels"]
    fused = heads + 2 * config["multi_query_group_num"] * config["kv_channels"]
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.embedding.word_embeddings.weight": (vocabulary, hidden),
        "transformer.rotary_pos_emb.inv_freq": (config["kv_channels"] // 4,),
    }
    for n in range(config["num_layers"]):
        layer = f"transformer.encoder.layers.{n}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.self_attention.query_key_value.weight": (fused, hidden),
            f"{layer}.self_attention.query_key_value.bias": (fused,),
            f"{layer}.self_attention.dense.weight": (hidden, heads),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
            f"{layer}.mlp.dense_h_to_4h.weight": (2 * inner, hidden),
            f"{layer}.mlp.dense_4h_to_h.weight": (hidden, inner),
        }
    head = {"transformer.encoder.final_layernorm.weight": (hidden,), "transformer.output_layer.weight": (vocabulary, hidden)}
    return _random(shapes | head)


def baichuan_logits(
    state: State,
    config: Config,
    ids: Tensor,
    mask: Tensor,
    *,
    unit_head: bool,
    pairs: bool = False,
    qkv: tuple[int, int, int] = (0, 1, 2),
) -> Tensor:
    """Logits of Baichuan-7B (`unit_head` False) and Baichuan2-7B (True). The other options are mistakes."""
    heads, epsilon = config["num_attention_heads"], config["rms_norm_eps"]
    hidden = state["model.embed_tokens.weight"][ids]
    for n in range(config["num_hidden_layers"]):
        layer = {name.removeprefix(f"model.layers.{n}."): tensor for name, tensor in state.items()}
        normed = _rms_norm(hidden, layer["input_layernorm.weight"], epsilon)
        packed = (normed @ layer["self_attn.W_pack.weight"].T).chunk(3, dim=-1)
        query, key, value = (_split_heads(packed[part], heads) for part in qkv)
        mixed = _attend(_rotate(query, pairs=pairs), _rotate(key, pairs=pairs), value, mask)
        hidden = hidden + mixed @ layer["self_attn.o_proj.weight"].T
        normed = _rms_norm(hidden, layer["post_attention_layernorm.weight"], epsilon)
        gated = silu(normed @ layer["mlp.gate_proj.weight"].T) * (normed @ layer["mlp.up_proj.weight"].T)
        hidden = hidden + gated @ layer["mlp.down_proj.weight"].T
    head = state["lm_head.weight"]
    return _rms_norm(hidden, state["model.norm.weight"], epsilon) @ (normalize(head) if unit_head else head).T


def chatglm_logits(
    state: State,
    config: Config,
    ids: Tensor,
    mask: Tensor,
    *,
    pairs: bool = True,
    rotated_share: float = 0.5,
    gate_first: bool = True,
    bias: bool = True,
    neighbours_share: bool = True,
) -> Tensor:
    """Logits of ChatGLM2-6B and ChatGLM3-6B. Each option that is not left alone is a mistake."""
    heads, groups, width = config["num_attention_heads"], config["multi_query_group_num"], config["kv_channels"]
    epsilon, rotated = config["layernorm_epsilon"], int(width * rotated_share)
    hidden = state["transformer.embedding.word_embeddings.weight"][ids]
    for n in range(config["num_layers"]):
        layer = {name.removeprefix(f"transformer.encoder.layers.{n}."): tensor for name, tensor in state.items()}
        normed = _rms_norm(hidden, layer["input_layernorm.weight"], epsilon)
        fused = normed @ layer["self_attention.query_key_value.weight"].T
        fused = fused + layer["self_attention.query_key_value.bias"] if bias else fused
        parts = fused.split([heads * width, groups * width, groups * width], dim=-1)
        query, key, value = (_split_heads(part, count) for part, count in zip(parts, (heads, groups, groups), strict=True))
        query, key = (torch.cat([_rotate(part[..., :rotated], pairs=pairs), part[..., rotated:]], dim=-1) for part in (query, key))
        if neighbours_share:
            key, value = (part.repeat_interleave(heads // groups, dim=1) for part in (key, value))
        else:
            key, value = (part.repeat(1, heads // groups, 1, 1) for part in (key, value))
        hidden = hidden + _attend(query, key, value, mask) @ layer["self_attention.dense.weight"].T
        normed = _rms_norm(hidden, layer["post_attention_layernorm.weight"], epsilon)
        first, second = (normed @ layer["mlp.dense_h_to_4h.weight"].T).chunk(2, dim=-1)
        gated = silu(first) * second if gate_first else first * silu(second)
        hidden = hidden + gated @ layer["mlp.dense_4h_to_h.weight"].T
    return (
        _rms_norm(hidden, state["transformer.encoder.final_layernorm.weight"], epsilon) @ state["transformer.output_layer.weight"].T
    )


def _random(shapes: Mapping[str, tuple[int, ...]]) -> State:
    draw = torch.Generator().manual_seed(0)
    return {
        name: 1 + 0.3 * torch.randn(shape, generator=draw) if len(shape) == 1 else 0.2 * torch.randn(shape, generator=draw)
        for name, shape in shapes.items()
    }


def _rms_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + epsilon)


def _split_heads(flat: Tensor, heads: int) -> Tensor:
    split: Tensor = flat.unflatten(-1, (heads, -1))
    return split.transpose(1, 2)


def _rotate(heads: Tensor, *, pairs: bool) -> Tensor:
    """Rotate numbers 2i and 2i+1 of each head (`pairs`), or i and i + half, by position · 10000^(-2i/width)."""
    length, width = heads.shape[-2:]
    angles = torch.outer(torch.arange(length).float(), 10000.0 ** (-torch.arange(0, width, 2).float() / width))
    turn = torch.polar(torch.ones_like(angles), angles)
    if pairs:
        turned: Tensor = torch.view_as_complex(heads.unflatten(-1, (-1, 2)).contiguous()) * turn
        return torch.view_as_real(turned).flatten(-2)
    turned = torch.complex(*heads.chunk(2, dim=-1)) * turn
    return torch.cat([turned.real, turned.imag], dim=-1)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Causal attention; `mask` (batch × length) is False where a token is padding."""
    length = query.shape[-2]
    seen = torch.ones(length, length).tril().bool() & mask[:, None, None, :]
    # A row of padding sees nothing; any finite number will do for it, since it is never compared.
    weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).masked_fill(~seen, -1e30).softmax(-1)
    mixed: Tensor = weights @ value
    return mixed.transpose(1, 2).flatten(-2)
