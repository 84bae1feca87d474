"""The vLLM engine, in a process of its own.

vLLM reads settings from the environment on import, replaces functions of torch, and kills its
process when a kernel fails, so it must not run in the trainer's process. It is not imported before
`start`.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conspo_study.rollout.heartbeat import Heartbeat
from conspo_study.rollout.responses import Response
from conspo_study.rollout.weight_backends import EXTENSION


class VllmActor:
    """One engine, driven by one trainer through `EngineProcess.call`.

    log: file to which the process's output is redirected. heartbeat: file whose first 8 bytes count
    the engine's steps.
    """

    def __init__(self, log: str, heartbeat: str) -> None:
        redirect_output(log)
        self._log = Path(log)
        self._heartbeat = Heartbeat(heartbeat)
        self._llm: Any = None
        self._loading = True
        """True while the weights are missing or incomplete."""
        self._asleep = False

    def __repr__(self) -> str:
        """Name in Ray's dashboard: run, worker and number, as in the path of the log."""
        return "/".join(self._log.with_suffix("").parts[-3:])

    def start(self, settings: Mapping[str, Any]) -> None:
        """Start vLLM with random weights, for the model described in the folder
        `settings["model"]`; for the other settings see `training.engines.vllm_settings`."""
        # It imports for seconds, and on a GPU compiles and captures graphs for minutes.
        with self._heartbeat.while_growing(self._log):
            self._start(settings)
        self._heartbeat.beat()

    def _start(self, settings: Mapping[str, Any]) -> None:
        from vllm import LLM
        from vllm.config import WeightTransferConfig

        self._llm = LLM(
            model=settings["model"],
            skip_tokenizer_init=True,
            # Weights come from the trainer, never from a file, and the sampling defaults of the
            # model's folder are ignored.
            load_format="dummy",
            generation_config="vllm",
            weight_transfer_config=WeightTransferConfig(backend=settings["backend"]),
            worker_extension_cls=EXTENSION,
            logprobs_mode="processed_logprobs",
            seed=0,
            **settings["options"],
        )

    def init_weight_transfer(self, info: Mapping[str, Any]) -> None:
        """Connect to the trainer. info: specific to the backend of the weight transfer."""
        self._llm.init_weight_transfer_engine({"init_info": dict(info)})

    def load_weights(self, info: Mapping[str, Any], version: str) -> None:
        """Replace all weights in one update."""
        self.start_weight_update()
        self.update_weights(info)
        self.finish_weight_update(version)

    def start_weight_update(self) -> None:
        """Begin an update; until `finish_weight_update` nothing can be generated."""
        self._loading = True
        if self._asleep:
            self._llm.wake_up(tags=["weights"])
        self._llm.start_weight_update()

    def update_weights(self, info: Mapping[str, Any]) -> None:
        """Receive weights. info: specific to the backend of the weight transfer."""
        self._llm.update_weights({"update_info": dict(info)})
        self._heartbeat.beat()

    def finish_weight_update(self, version: str) -> None:
        """End an update; from now on responses are sampled from weights of this version."""
        self._llm.finish_weight_update(weight_version=version)
        if self._asleep:
            self._llm.wake_up(tags=["kv_cache"])
            self._asleep = False
        # Cached keys and values of the old weights are invalid.
        self._llm.reset_prefix_cache()
        self._loading = False
        self._heartbeat.beat()

    def sleep(self) -> None:
        """Release all GPU memory, including weights and cache."""
        self._loading = self._asleep = True
        self._llm.sleep(level=2)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        sampling: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Sample a response per seed of each prompt.

        sampling: `temperature`, `top_p`, `max_new_tokens`, and `stops`, the tokens that end a
        response. Returns `responses` and the `version` of the weights. Raises RuntimeError if the
        weights are incomplete.
        """
        if self._loading:
            raise RuntimeError("the engine's weights are incomplete")
        from vllm import SamplingParams
        from vllm.inputs import tokens_input

        engine = self._llm.llm_engine
        for p, (prompt, prompt_seeds) in enumerate(zip(prompts, seeds, strict=True)):
            for g, seed in enumerate(prompt_seeds):
                params = SamplingParams(
                    temperature=sampling["temperature"],
                    top_p=sampling["top_p"],
                    max_tokens=sampling["max_new_tokens"],
                    stop_token_ids=list(sampling["stops"]),
                    # Only `stops` end a response, not other tokens that the model's files may list.
                    ignore_eos=True,
                    seed=seed,
                    logprobs=0,
                    detokenize=False,
                )
                engine.add_request(f"{p}:{g}", tokens_input(list(prompt)), params)
        responses: list[list[Response]] = [[((), ())] * len(prompt_seeds) for prompt_seeds in seeds]
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    p, g = map(int, output.request_id.split(":"))
                    responses[p][g] = _response(output.outputs[0])
            self._heartbeat.beat()
        return {"version": self._llm.get_weight_version(), "responses": responses}


def redirect_output(path: str) -> None:
    """Append all output of this process to a file, including that of libraries and crashes."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for target in (1, 2):
        os.dup2(file, target)
    os.close(file)
    faulthandler.enable()


def _response(output: Any) -> Response:
    """Tokens and their log-probabilities under the distribution they were sampled from."""
    tokens = tuple(output.token_ids)
    pairs = zip(tokens, output.logprobs, strict=True)
    return tokens, tuple(entries[token].logprob for token, entries in pairs)
