"""ChatGLM2-6B and ChatGLM3-6B: the GLM of transformers with q, k and v in one matrix.

Both rotate the first half of each head in neighbouring pairs, share keys and values between heads, have a bias on q, k and v
alone, and keep gate and up of the MLP in one matrix, the gate first.
"""

from tunewell.model.convert.layout import Layout, Refusal, TokenizerRules

_OLD = "transformer.encoder.layers.{n}"
_NEW = "model.layers.{n}"

CHATGLM = Layout(
    name="ChatGLM2-6B / ChatGLM3-6B",
    signs={"model_type": "chatglm", "multi_query_attention": True},
    assumed={
        "rmsnorm": True,
        "post_layer_norm": True,
        "original_rope": True,
        "add_bias_linear": False,
        "add_qkv_bias": True,
        "apply_residual_connection_post_layernorm": False,
        "tie_word_embeddings": False,
        "pre_seq_len": None,
        "quantization_bit": 0,
        "quantization_config": None,
    },
    config_type="glm",
    config_keys={
        "vocab_size": "padded_vocab_size",
        "hidden_size": "hidden_size",
        "intermediate_size": "ffn_hidden_size",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_attention_heads",
        "num_key_value_heads": "multi_query_group_num",
        "head_dim": "kv_channels",
        "rms_norm_eps": "layernorm_epsilon",
        "max_position_embeddings": "seq_length",
        "eos_token_id": "eos_token_id",
        "pad_token_id": "pad_token_id",
    },
    config_values={
        "hidden_act": "silu",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "attention_bias": True,
        "tie_word_embeddings": False,
    },
    tensors={
        "transformer.embedding.word_embeddings.weight": ("model.embed_tokens.weight",),
        f"{_OLD}.input_layernorm.weight": (f"{_NEW}.input_layernorm.weight",),
        f"{_OLD}.self_attention.query_key_value.weight": tuple(f"{_NEW}.self_attn.{part}_proj.weight" for part in "qkv"),
        f"{_OLD}.self_attention.query_key_value.bias": tuple(f"{_NEW}.self_attn.{part}_proj.bias" for part in "qkv"),
        f"{_OLD}.self_attention.dense.weight": (f"{_NEW}.self_attn.o_proj.weight",),
        f"{_OLD}.post_attention_layernorm.weight": (f"{_NEW}.post_attention_layernorm.weight",),
        f"{_OLD}.mlp.dense_h_to_4h.weight": (f"{_NEW}.mlp.gate_up_proj.weight",),
        f"{_OLD}.mlp.dense_4h_to_h.weight": (f"{_NEW}.mlp.down_proj.weight",),
        "transformer.encoder.final_layernorm.weight": ("model.norm.weight",),
        "transformer.output_layer.weight": ("lm_head.weight",),
    },
    recomputed=frozenset({"transformer.rotary_pos_emb.inv_freq"}),
    tokenizer=TokenizerRules(
        named={"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<unk>"},
        prefix=("[gMASK]", "sop"),
        appended=(
            *("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"),
            *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        ),
        hidden=True,
        padding_side="left",
    ),
)

REFUSED = (
    Refusal(
        {"model_type": "chatglm", "position_encoding_2d": True},
        "this is ChatGLM-6B, the first: its positions have two dimensions, which no class of transformers expresses",
        "use ChatGLM2-6B or ChatGLM3-6B",
    ),
)
