"""How vLLM on a CPU takes new weights: from a file of tensors in memory that both processes see.

It is registered with vLLM's own factory of weight transfer engines and takes the same path as those
for GPUs: vLLM calls it in start, update and finish, and its layer-by-layer reloading gives every
tensor the layout that the kernels want.
"""

from __future__ import annotations

from dataclasses import dataclass

from safetensors.torch import load_file
from vllm.distributed.weight_transfer import WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)

from conspo_study.rollout.weight_memory import SHARED_MEMORY


@dataclass
class Nothing(WeightTransferInitInfo):  # type: ignore[misc]
    """There is nothing to agree on beforehand."""


@dataclass
class TensorFile(WeightTransferUpdateInfo):  # type: ignore[misc]
    """All weights of the model."""

    path: str
    """A safetensors file, readable until the update has been finished."""


class SharedMemoryEngine(WeightTransferEngine[Nothing, TensorFile]):  # type: ignore[misc]
    """Loads a model's weights from a `TensorFile`, all of them or an error."""

    init_info_cls = Nothing
    update_info_cls = TensorFile

    def init_transfer_engine(self, init_info: Nothing) -> None:
        """Nothing to do."""

    def start_weight_update(self) -> None:
        """Have every layer wait for its tensors."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: TensorFile) -> None:
        """Raises ValueError naming parameters of the model that the file does not fill."""
        wanted = {name for name, _ in self.model.named_parameters()}
        if self.model_config.hf_config.tie_word_embeddings:
            wanted.discard("lm_head.weight")
        loaded = self.model.load_weights(iter(load_file(update_info.path).items()))
        if missing := sorted(wanted - loaded):
            raise ValueError(
                f"the trainer sent no weights for {len(missing)} parameters of the model, such as "
                f"{missing[0]}"
            )

    def finish_weight_update(self) -> None:
        """Put the layers together again."""
        finalize_layerwise_reload(self.model, self.model_config)
        for module in self.model.modules():
            # An output head that shares its weights with the embedding got none of its own, and
            # keeps the copy that it had made of the old ones for its kernel.
            if isinstance(module, ParallelLMHead) and hasattr(module, "cpu_linear"):
                module.quant_method.process_weights_after_loading(module)

    def shutdown(self) -> None:
        """Nothing is held between updates."""


def register() -> None:
    """Make the backend known to vLLM, once in a process."""
    WeightTransferEngineFactory.register_engine(SHARED_MEMORY, SharedMemoryEngine)
