"""Refuses an update of vLLM's weights that left some of them out.

vLLM reloads layer by layer: a layer that has all of its elements is done, one that has not keeps
what was sent until the update ends. vLLM then fills it up with what its memory holds, and warns.
"""

from __future__ import annotations

from torch import nn
from vllm.model_executor.layers.attention import is_deferred_attention_layer
from vllm.model_executor.layers.linear import LinearBase
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info
from vllm.model_executor.model_loader.reload.meta import SKIP_LOAD_TENSORS
from vllm.model_executor.model_loader.reload.utils import get_tensor_load_numel


def refuse_incomplete(model: nn.Module, tied: bool) -> None:
    """Check a model of vLLM between the last weights and the end of their update.

    tied: whether the output head is the embedding. Raises ValueError naming parameters that were
    left out, or linear layers of which a part was, such as the queries of merged projections.
    Embeddings may be larger than what is sent for them, since vLLM pads their rows.
    """
    missing, partial = [], []
    for name, layer in model.named_modules():
        info = get_layerwise_info(layer)
        done = not info.can_load()
        if done or is_deferred_attention_layer(layer):
            continue
        if tied and isinstance(layer, ParallelLMHead):
            continue
        own = {
            key: get_tensor_load_numel(parameter)
            for key, parameter in layer.named_parameters(recurse=False)
            if key not in SKIP_LOAD_TENSORS
        }
        sent = {key for key, _ in info.loaded_weights}
        left_out = [f"{name}.{key}" for key in own if key not in sent]
        missing += left_out
        if isinstance(layer, LinearBase) and not left_out and info.load_numel < sum(own.values()):
            partial.append(name)
    if missing:
        raise ValueError(
            f"the trainer sent no weights for {len(missing)} parameters of the model, such as "
            f"{missing[0]}"
        )
    if partial:
        raise ValueError(
            f"the trainer sent only a part of the weights for {len(partial)} layers of the model, "
            f"such as {partial[0]}"
        )
