"""Tiny models of every decoder that transformers has, with windows that short rollouts exceed."""

import torch
from model_folders import save_model
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from conspo_study.config import PolicyConfig
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine

FAMILIES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
WINDOW, RANK = 6, 64
_WIDTH = ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "emb_dim", "lru_width")
_WIDTH += ("embedding_size", "word_embed_proj_dim")
_INNER = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "decoder_ffn_dim")
_INNER += ("encoder_ffn_dim", "d_ff", "mlp_hidden_size")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads")
_HEADS += ("encoder_attention_heads", "linear_num_value_heads", "mamba_n_heads", "mamba_num_heads")
_KEYS = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "linear_num_key_heads")
_KEYS += ("num_global_key_value_heads", "index_n_heads")
_HEAD = ("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "linear_key_head_dim")
_HEAD += ("linear_value_head_dim", "global_head_dim", "index_head_dim", "mamba_d_state")
_HEAD += ("state_size", "ssm_state_size", "hidden_size_per_layer_input")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts")
_EXPERT = ("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size")
_SIZES = {
    **dict.fromkeys(_WIDTH, 32),
    **dict.fromkeys(_INNER, 48),
    **dict.fromkeys(_LAYERS, 4),
    **dict.fromkeys(_HEADS, 4),
    **dict.fromkeys(_KEYS, 2),
    **dict.fromkeys(_HEAD, 8),
    **dict.fromkeys(_EXPERTS, 4),
    **dict.fromkeys(_ACTIVE, 2),
    **dict.fromkeys(_EXPERT, 24),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 62),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 128),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "attention_window_size"), WINDOW),
    **dict.fromkeys(("n_group", "topk_group", "mamba_n_groups", "n_groups"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "mamba_d_head", "mamba_head_dim"), 16),
    **dict.fromkeys(("decoder_layers", "encoder_layers"), 2),
    "rotary_dim": 4,
    "mamba_d_ssm": 64,
    "num_mem_blocks": 1,
    "num_kv_shared_layers": 0,
    "first_k_dense_replace": 1,
    "conv_L_cache": 3,
    "index_topk": RANK,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_HYBRID = ["linear_attention", "full_attention"] * 2
_MLA = {"num_key_value_heads": 4, "head_dim": None}
_SPECIAL = {
    "bamba": {"attn_layer_indices": [1]},
    "dots1": {"n_shared_experts": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": WINDOW},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"head_dim": 16},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
    **dict.fromkeys(
        ("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite"), _MLA
    ),
    **dict.fromkeys(("glm_moe_dsa", "minicpm3", "youtu"), _MLA),
}
"""What a family needs beside the sizes; None keeps its own default."""
UNTRIED = {
    "blt": "embeds hashes of bytes in tables of three million rows",
    "cohere_compass_text": "its configuration is a part of another's",
    "dbrx": "its configuration has no place for the base of its rotary embedding",
    "emu3": "a part of an image model",
    "gemma4_assistant": "drafts for another model",
    "gemma4_unified_assistant": "drafts for another model",
    "git": "an image model",
    "kimi_linear": "takes three seconds for a pass on a CPU, and minutes for the gradient",
    "longcat_flash": "has hundreds of experts whatever its configuration says",
    "mllama": "a part of an image model",
    "musicgen": "makes music of three models",
    "musicgen_melody": "makes music of three models",
    "phi4_multimodal": "an image and audio model",
    "qwen4_exp": "a part of an image model",
    "qwen4_exp_text": "a part of an image model",
    "reformer": "computes gradients in training mode only",
    "xlm": "has layers of 2048 whatever its configuration says",
    "zamba": "ties its layers so that a small one cannot be built",
}
"""Families without a tiny model, or none that can be tried in a test."""
PROMPTS = [(3, 4, 5), (3, 4, 5, 6, 7, 8, 9), (10, 11)]
RESPONSES = [(12, 13, 14, 15, 16, 17, 18, 19, 20), tuple(range(21, 35)), (40, 41, 42, 43, 44)]


def tiny(family, **settings):
    """A tiny random model, sharp enough not to be uniform. Raises what transformers raises where
    it cannot be built."""
    kind = type(CONFIG_MAPPING[family]().get_text_config())
    known = set(vars(kind()))
    sizes = {name: size for name, size in _SIZES.items() if name in known}
    chosen = sizes | _SPECIAL.get(family, {}) | settings
    config = kind(**{name: value for name, value in chosen.items() if value is not None})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return model.eval()


def loaded(model, folder, attention="sdpa"):
    """The model as a worker loads it from a folder. Raises PolicyError where it is refused."""
    save_model(folder, model)
    try:
        return load_policy(PolicyConfig(model=str(folder), attention=attention), folder)[0]
    except PolicyError as error:
        if attention == "sdpa" and "set policy.attention=eager" in str(error):
            return loaded(model, folder, "eager")
        raise


def plain_logprobs(model, rollouts):
    """Log-probabilities of responses from the model's own logits, a rollout at a time."""
    logprobs = []
    for prompt, response in rollouts:
        row = torch.tensor([[*prompt, *response]])
        logits = model(input_ids=row, use_cache=False).logits[0].float().log_softmax(-1)
        at = torch.arange(len(response)) + len(prompt) - 1
        logprobs.append(logits[at, torch.tensor(response)])
    return torch.cat(logprobs)


def disagreements(model, reference):
    """How far trainer, gradient and sampler of a loaded model are from the plain forward passes of
    `reference`: nats, nats, and a part of the gradient's norm."""
    rollouts = list(zip(PROMPTS, RESPONSES, strict=True))
    own = plain_logprobs(reference, rollouts)
    scored = response_logprobs(model, PROMPTS, RESPONSES)
    gradient = _gradient(model, scored.sum())
    right = _gradient(reference, own.sum())
    return {
        "trainer": float((scored - own).detach().abs().max()),
        "gradient": float((gradient - right).norm() / right.norm()),
        "sampler": _sampled(model, reference),
    }


def way(model):
    """How the transformers engine decodes a model, after it has sampled once."""
    engine = _engine(model)
    engine.generate([(3, 4)], 1, Sampling(1.0, 1), [0])
    return engine._way


def _sampled(model, reference):
    groups = _engine(model).generate(PROMPTS, 2, Sampling(1.0, 14), [1, 2, 3])
    rollouts = [(p, r) for p, group in zip(PROMPTS, groups, strict=True) for r in group]
    reported = torch.tensor([logp for _, r in rollouts for logp in r.logprobs])
    with torch.no_grad():
        own = plain_logprobs(reference, [(p, r.tokens) for p, r in rollouts])
    return float((own - reported).abs().max())


def _engine(model):
    return TransformersEngine(model, embedded_tokenizer(), stop_ids=())


def _gradient(model, total):
    model.zero_grad()
    total.backward()
    names = sorted(dict(model.named_parameters()))
    parts = (model.get_parameter(name).grad for name in names)
    return torch.cat([part.flatten() for part in parts if part is not None])
