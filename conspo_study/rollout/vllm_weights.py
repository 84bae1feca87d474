"""Weight transfer to vLLM on a CPU, through a file of tensors in shared memory.

It is registered with vLLM's factory of weight transfer engines and works like those for GPUs: vLLM
calls it for start, update and finish, and vLLM's layer-by-layer reloading gives every tensor the
layout that its kernels need.
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
    """Empty: the transfer needs no initialisation."""


@dataclass
class TensorFile(WeightTransferUpdateInfo):  # type: ignore[misc]
    """All weights of the model."""

    path: str
    """Path of a safetensors file, readable until the update has finished."""


class SharedMemoryEngine(WeightTransferEngine[Nothing, TensorFile]):  # type: ignore[misc]
    """Loads all of a model's weights from a `TensorFile`, or raises an error."""

    init_info_cls = Nothing
    update_info_cls = TensorFile

    def init_transfer_engine(self, init_info: Nothing) -> None:
        """Do nothing."""

    def start_weight_update(self) -> None:
        """Prepare every layer to receive its tensors."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: TensorFile) -> None:
        """Load the weights. Raises ValueError naming parameters that the file lacks."""
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
        """Complete the layers."""
        finalize_layerwise_reload(self.model, self.model_config)
        for module in self.model.modules():
            # An output head tied to the embedding receives no weights itself and would keep its
            # kernel's copy of the old ones.
            if isinstance(module, ParallelLMHead) and hasattr(module, "cpu_linear"):
                module.quant_method.process_weights_after_loading(module)

    def shutdown(self) -> None:
        """Do nothing: no resources are held between updates."""


def register() -> None:
    """Register the backend with vLLM; to be called once per process."""
    WeightTransferEngineFactory.register_engine(SHARED_MEMORY, SharedMemoryEngine)
