"""Environment variables that a study passes on to its processes on all nodes of a cluster.

Named one by one: a prefix would pass on keys and tokens as well, which have such names, and what
differs from node to node.
"""

from __future__ import annotations

NCCL = (
    *("SOCKET_IFNAME", "SOCKET_FAMILY", "NET", "NET_PLUGIN", "NET_GDR_LEVEL", "CROSS_NIC"),
    *("IB_DISABLE", "IB_HCA", "IB_GID_INDEX", "IB_TC", "IB_SL", "IB_TIMEOUT"),
    *("P2P_DISABLE", "P2P_LEVEL", "SHM_DISABLE", "CUMEM_ENABLE", "NVLS_ENABLE", "ALGO", "PROTO"),
    *("DEBUG", "DEBUG_SUBSYS"),
)
VLLM = (
    *("CACHE_ROOT", "LOGGING_LEVEL", "USE_V2_MODEL_RUNNER", "BATCH_INVARIANT"),
    *("DISABLE_COMPILE_CACHE", "ENABLE_CUDA_COMPATIBILITY", "USE_FLASHINFER_SAMPLER"),
)
PASSED_ON = (
    "RAY_ADDRESS",
    "CONSPO_STUDY_CACHE",
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"),
    # How workers and engines reach each other.
    *("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"),
    *(f"NCCL_{name}" for name in NCCL),
    # How PyTorch and vLLM use a GPU.
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUDA_LAUNCH_BLOCKING"),
    *(f"VLLM_{name}" for name in VLLM),
)
"""Names; those that are set where the study starts."""
