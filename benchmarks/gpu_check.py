"""Check of a first GPU: eleven stages in under ten minutes, without network, Ray and vLLM.

    python benchmarks/gpu_check.py --json gpu.json [--only STAGE ...] [--rehearse]

Run from a checkout; besides torch and transformers it needs pydantic, safetensors, filelock and
math-verify. `--rehearse` runs what a CPU can, in miniature. Each stage prints whether it passes;
one that raises is noted, and the next one runs. The status is 1 unless all pass.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from gpu_stages import kernels, trainer, transfer
from gpu_stages.place import Found, Place
from harness import write

STAGES: Mapping[str, Callable[[Place], Found]] = {
    "environment": trainer.environment,
    "fork_server": trainer.fork_server,
    "trainer_float32": trainer.trainer_float32,
    "trainer_bfloat16": trainer.trainer_bfloat16,
    "clock": trainer.clock,
    "attention": kernels.attention,
    "step_1_5b": kernels.step_1_5b,
    "ipc": transfer.ipc,
    "stream_race": transfer.stream_race,
    "fsdp_one": transfer.fsdp_one,
    "sampling": kernels.sampling,
}
NEED_A_GPU = ("ipc", "stream_race")


def run(stage: Callable[[Place], Found], place: Place) -> dict[str, Any]:
    """The numbers of a stage, and whether it passes."""
    start = time.perf_counter()
    numbers: dict[str, Any] = {}
    try:
        numbers, wrong = stage(place)
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}"[:400], traceback.format_exc(limit=-4)[-1000:]]
    place.forget()
    seconds = round(time.perf_counter() - start, 1)
    return {"passes": not wrong, "wrong": wrong, "seconds": seconds, "numbers": numbers}


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", type=Path, help="write the numbers to this file")
    options.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    options.add_argument("--rehearse", action="store_true", help="on a CPU, in miniature")
    chosen = options.parse_args()
    if not chosen.rehearse and not torch.cuda.is_available():
        options.error("there is no GPU: add --rehearse")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        place = Place(not chosen.rehearse, Path(scratch))
        for name in chosen.only:
            if chosen.rehearse and name in NEED_A_GPU:
                print(f"{name:18}needs a GPU", flush=True)
                continue
            told = found[name] = run(STAGES[name], place)
            verdict = "passes" if told["passes"] else f"FAILS: {told['wrong'][0]}"
            print(f"{name:18}{told['seconds']:6.1f} s  {verdict}", flush=True)
            passes = all(stage["passes"] for stage in found.values())
            write(chosen.json, {"rehearsed": chosen.rehearse, "passes": passes, "stages": found})
    return 0 if all(stage["passes"] for stage in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
