"""The vLLM engine itself, in the process that is made for it and holds nothing else.

vLLM reads its settings from the environment when it is imported, replaces functions of torch, and
takes the process with it when a kernel fails: none of that may happen where the trainer lives. So
nothing of it is imported before `start`.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conspo_study.rollout.responses import Response
from conspo_study.rollout.weight_memory import SHARED_MEMORY


class VllmActor:
    """One engine, driven by one trainer; `EngineProcess.call` names these methods.

    log: where this process's output goes from now on. heartbeat: a file whose first 8 bytes count
    what the engine has done.
    """

    def __init__(self, log: str, heartbeat: str) -> None:
        redirect_output(log)
        self._log = Path(log)
        self._heartbeat = Heartbeat(heartbeat)
        self._llm: Any = None
        self._loading = True
        """Whether the weights are none, or a mixture of two versions."""
        self._asleep = False

    def __repr__(self) -> str:
        """What Ray's pages show: run, worker and number, as in the path of the log."""
        return "/".join(self._log.with_suffix("").parts[-3:])

    def start(self, settings: Mapping[str, Any]) -> None:
        """Bring up vLLM for the model described in the folder `settings["model"]`, with random
        weights; see `engines.vllm_settings` for the others."""
        from vllm import LLM
        from vllm.config import WeightTransferConfig

        if settings["backend"] == SHARED_MEMORY:
            from conspo_study.rollout.vllm_weights import register

            register()
        self._llm = LLM(
            model=settings["model"],
            skip_tokenizer_init=True,
            # The weights come from the trainer, never from a file; what defaults a model's folder
            # has for sampling is none of our business either.
            load_format="dummy",
            generation_config="vllm",
            weight_transfer_config=WeightTransferConfig(backend=settings["backend"]),
            logprobs_mode="processed_logprobs",
            seed=0,
            **settings["options"],
        )
        self._heartbeat.beat()

    def init_weight_transfer(self, info: Mapping[str, Any]) -> None:
        """Meet the trainer; what `info` holds is the backend's affair."""
        self._llm.init_weight_transfer_engine({"init_info": dict(info)})

    def load_weights(self, info: Mapping[str, Any], version: str) -> None:
        """Replace all weights in one update."""
        self.start_weight_update()
        self.update_weights(info)
        self.finish_weight_update(version)

    def start_weight_update(self) -> None:
        """From here to the end of `finish_weight_update`, nothing is generated."""
        self._loading = True
        if self._asleep:
            self._llm.wake_up(tags=["weights"])
        self._llm.start_weight_update()

    def update_weights(self, info: Mapping[str, Any]) -> None:
        """Receive weights; what `info` holds is the backend's affair."""
        self._llm.update_weights({"update_info": dict(info)})
        self._heartbeat.beat()

    def finish_weight_update(self, version: str) -> None:
        """From here on, all that is generated comes from weights of this version."""
        self._llm.finish_weight_update(weight_version=version)
        if self._asleep:
            self._llm.wake_up(tags=["kv_cache"])
            self._asleep = False
        # Keys and values of the old weights must not meet queries of the new ones.
        self._llm.reset_prefix_cache()
        self._loading = False
        self._heartbeat.beat()

    def sleep(self) -> None:
        """Give all memory of the GPU back; weights and cache are gone."""
        self._loading = self._asleep = True
        self._llm.sleep(level=2)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        sampling: Mapping[str, Any],
    ) -> dict[str, Any]:
        """`responses` to each prompt, one per seed, and the `version` of the weights behind them.

        sampling: `temperature`, `top_p`, `max_new_tokens`, and `stops`, which end a response.
        Raises RuntimeError when the weights are not whole.
        """
        if self._loading:
            raise RuntimeError("the engine's weights have not been replaced as a whole")
        from vllm import SamplingParams
        from vllm.inputs import tokens_input

        engine = self._llm.llm_engine
        for p, (prompt, own_seeds) in enumerate(zip(prompts, seeds, strict=True)):
            for g, seed in enumerate(own_seeds):
                params = SamplingParams(
                    temperature=sampling["temperature"],
                    top_p=sampling["top_p"],
                    max_tokens=sampling["max_new_tokens"],
                    stop_token_ids=list(sampling["stops"]),
                    # At other tokens, which a model's description may name, nothing ends.
                    ignore_eos=True,
                    seed=seed,
                    logprobs=0,
                    detokenize=False,
                )
                engine.add_request(f"{p}:{g}", tokens_input(list(prompt)), params)
        responses: list[list[Response]] = [[((), ())] * len(own) for own in seeds]
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    p, g = map(int, output.request_id.split(":"))
                    responses[p][g] = _response(output.outputs[0])
            self._heartbeat.beat()
        return {"version": self._llm.get_weight_version(), "responses": responses}


class Heartbeat:
    """Tells whoever can read the file that something has been done."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._count = 0

    def beat(self) -> None:
        """One thing more."""
        self._count += 1
        os.pwrite(self._file, self._count.to_bytes(8, "little"), 0)


def redirect_output(path: str) -> None:
    """Append all output of this process to a file, what libraries and crashes print included."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for target in (1, 2):
        os.dup2(file, target)
    os.close(file)
    faulthandler.enable()


def _response(output: Any) -> Response:
    """Tokens and their log-probabilities under the distribution that they were drawn from."""
    tokens = tuple(output.token_ids)
    pairs = zip(tokens, output.logprobs, strict=True)
    return tokens, tuple(found[token].logprob for token, found in pairs)
