"""Weight transfer to vLLM, which refuses incomplete weights whatever way they come.

vLLM's own engines receive handles of GPU memory and broadcasts; on a CPU one of this module reads a
file of tensors in shared memory. All of them are registered with vLLM's factory, which calls them
for start, update and finish, and vLLM's layer-by-layer reloading gives every tensor the layout that
its kernels need.

Importing this registers them, in each process of vLLM that holds a part of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safetensors.torch import load_file
from vllm.distributed.weight_transfer import WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.ipc_engine import IPCWeightTransferEngine
from vllm.distributed.weight_transfer.nccl_engine import NCCLWeightTransferEngine
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)

from conspo_study.rollout.vllm_complete import refuse_incomplete
from conspo_study.rollout.weight_backends import BROADCAST, SHARED_GPU, SHARED_MEMORY


@dataclass
class Nothing(WeightTransferInitInfo):  # type: ignore[misc]
    """Empty: the transfer needs no initialisation."""


@dataclass
class TensorFile(WeightTransferUpdateInfo):  # type: ignore[misc]
    """All weights of the model."""

    path: str
    """Path of a safetensors file, readable until the update has finished."""


class _Complete:
    """Of a receiving engine: the end of an update raises ValueError if weights were left out."""

    model: Any
    model_config: Any

    def finish_weight_update(self) -> None:
        """Complete the layers."""
        refuse_incomplete(self.model, self.model_config.hf_config.tie_word_embeddings)
        super().finish_weight_update()  # type: ignore[misc]


class _SharedMemoryEngine(WeightTransferEngine[Nothing, TensorFile]):  # type: ignore[misc]
    """Loads all of a model's weights from a `TensorFile`."""

    init_info_cls = Nothing
    update_info_cls = TensorFile

    def init_transfer_engine(self, init_info: Nothing) -> None:
        """Do nothing."""

    def start_weight_update(self) -> None:
        """Prepare every layer to receive its tensors."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: TensorFile) -> None:
        """Load the weights."""
        self.model.load_weights(iter(load_file(update_info.path).items()))

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


class SharedMemoryEngine(_Complete, _SharedMemoryEngine):
    """The receiving side of `weight_memory`."""


class SharedGpuEngine(_Complete, IPCWeightTransferEngine):  # type: ignore[misc]
    """The receiving side of `weight_gpu.SharedGpuChannel`."""


class BroadcastEngine(_Complete, NCCLWeightTransferEngine):  # type: ignore[misc]
    """The receiving side of `weight_gpu.BroadcastChannel`."""


class Registered:
    """Empty: vLLM finds it by its name, and imports this module to do so."""


for _name, _engine in (
    (SHARED_MEMORY, SharedMemoryEngine),
    (SHARED_GPU, SharedGpuEngine),
    (BROADCAST, BroadcastEngine),
):
    WeightTransferEngineFactory.register_engine(_name, _engine)
