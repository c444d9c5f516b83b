"""Baichuan-7B and Baichuan2-7B: Llama with q, k and v in one matrix; Baichuan2 also scales each row of its head to length 1."""

from dataclasses import replace

from tunewell.model.convert.layout import Layout, Refusal, TokenizerRules

_LAYER = "model.layers.{n}"
_SAME = (
    "model.embed_tokens.weight",
    f"{_LAYER}.input_layernorm.weight",
    f"{_LAYER}.self_attn.o_proj.weight",
    f"{_LAYER}.post_attention_layernorm.weight",
    f"{_LAYER}.mlp.gate_proj.weight",
    f"{_LAYER}.mlp.up_proj.weight",
    f"{_LAYER}.mlp.down_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
)
_SAME_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "rms_norm_eps",
    "max_position_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)

BAICHUAN = Layout(
    name="Baichuan-7B",
    signs={"model_type": "baichuan", "vocab_size": 64000},
    assumed={"tie_word_embeddings": False, "quantization_config": None},
    config_type="llama",
    config_keys={key: key for key in _SAME_KEYS},
    config_values={"rope_theta": 10000.0, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False},
    tensors={name: (name,) for name in _SAME}
    | {f"{_LAYER}.self_attn.W_pack.weight": tuple(f"{_LAYER}.self_attn.{part}_proj.weight" for part in "qkv")},
    recomputed=frozenset({f"{_LAYER}.self_attn.rotary_emb.inv_freq"}),
    tokenizer=TokenizerRules(named={"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, prefix=("<s>",)),
)

BAICHUAN2 = replace(
    BAICHUAN,
    name="Baichuan2-7B",
    signs={"model_type": "baichuan", "vocab_size": 125696},
    unit_rows=frozenset({"lm_head.weight"}),
)

_ALIBI = "this is a 13B of Baichuan: its attention uses ALiBi, which no class of transformers combines with RMSNorm and a gated MLP"
_ALIBI_HINT = "use Baichuan-7B or Baichuan2-7B; a server that knows the old layout (vLLM) can serve the 13B as it is"

REFUSED = (
    Refusal({"model_type": "baichuan", "max_position_embeddings": None}, _ALIBI, _ALIBI_HINT),
    Refusal({"model_type": "baichuan", "hidden_size": 5120}, _ALIBI, _ALIBI_HINT),
)
