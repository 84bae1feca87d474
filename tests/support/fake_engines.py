"""Engine processes without vLLM, whose answers show which weights they hold."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file

from conspo_study.rollout.heartbeat import Heartbeat
from conspo_study.rollout.vllm_actor import redirect_output


class FakeActor:
    """The methods of `VllmActor`; a response is its seed, the weight "w" and the first stop token.

    settings["faults"] lists what goes wrong, as texts "method n what", n counting the calls of that
    method in all processes of the folder settings["folder"]; `what` is `die`, `raise`, `hang`,
    `work` (a long time, with signs of life) or `stale` (answer from weights of another version).
    """

    def __init__(self, log, heartbeat):
        redirect_output(log)
        print(f"a fake engine, process {os.getpid()}", flush=True)
        self._heartbeat = Heartbeat(heartbeat)
        self._version, self._value = "", None

    def start(self, settings: Mapping):
        self._settings = settings
        self._meet("start")

    def load_weights(self, info, version):
        self._version = ""
        self._value = float(load_file(info["path"])["w"])
        self._meet("load_weights")
        self._version = version

    def sleep(self):
        self._version = ""

    def generate(self, prompts, seeds, sampling):
        assert self._version, "asked before there were weights"
        fault = self._meet("generate")
        return {
            "version": "seed 0:1000" if fault == "stale" else self._version,
            "responses": [
                [((seed, int(self._value), sampling["stops"][0]), (-0.5,) * 3) for seed in row]
                for row in seeds
            ],
        }

    def _meet(self, method):
        """Count this call, and suffer the fault scheduled for it."""
        counter = Path(self._settings["folder"]) / method
        with counter.open("ab", buffering=0) as file:
            file.write(b"x")
            number = file.tell()  # the end of this call's byte, even if others append meanwhile
        faults = [fault.split() for fault in self._settings["faults"]]
        due = [what for name, n, what in faults if (name, int(n)) == (method, number)]
        for what in due:
            print(f"{method} {number} will {what}", flush=True)
            if what == "die":
                os._exit(3)
            if what == "raise":
                raise ValueError("a fake error")
            if what == "hang":
                time.sleep(3600)
            if what == "work":
                for _ in range(12):
                    time.sleep(0.25)
                    self._heartbeat.beat()
        return due[0] if due else ""


class ThreadEngine:
    """An `EngineProcess` whose process is a thread, which cannot be killed, only abandoned."""

    def __init__(self, log):
        self._log = log
        self._memory = os.memfd_create("heartbeat")
        os.ftruncate(self._memory, 8)
        self._actor = QuietActor(str(log), f"/proc/{os.getpid()}/fd/{self._memory}")
        self._thread = ThreadPoolExecutor(1)
        self.ended = False

    def call(self, method, *arguments):
        return self._thread.submit(getattr(self._actor, method), *arguments)

    def heartbeat(self):
        return int.from_bytes(os.pread(self._memory, 8, 0), "little")

    def log_tail(self):
        return "the last words\nof a log"

    def end(self):
        self.ended = True
        self._thread.shutdown(wait=False, cancel_futures=True)


class QuietActor(FakeActor):
    """A `FakeActor` that does not redirect the output of the process."""

    def __init__(self, log, heartbeat):
        self._heartbeat = Heartbeat(heartbeat)
        self._version, self._value = "", None


@contextmanager
def counted(folder, method):
    """Count calls of a method inside the block; yields a list that holds the number afterwards."""

    def count():
        path = folder / method
        return path.stat().st_size if path.exists() else 0

    before, calls = count(), []
    yield calls
    calls.append(count() - before)


class TransformersActor(FakeActor):
    """Samples with the transformers engine from the weights it has been sent."""

    def start(self, settings):
        from transformers import AutoConfig, AutoModelForCausalLM

        super().start(settings)
        self._model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(settings["model"])
        )

    def load_weights(self, info, version):
        self._version = ""
        missing, _ = self._model.load_state_dict(load_file(info["path"]), strict=False)
        assert set(missing) <= {"lm_head.weight"}
        self._meet("load_weights")
        self._version = version

    def generate(self, prompts, seeds, sampling):
        from conspo_study.rollout.engine import Sampling
        from conspo_study.rollout.transformers_engine import TransformersEngine

        self._meet("generate")
        engine = TransformersEngine(self._model, _Silent(sampling["stops"][0]))
        asked = Sampling(sampling["temperature"], sampling["max_new_tokens"], sampling["top_p"])
        groups = [
            [engine.generate([prompt], 1, asked, [seed])[0][0] for seed in row]
            for prompt, row in zip(prompts, seeds, strict=True)
        ]
        return {
            "version": self._version,
            "responses": [[(r.tokens, r.logprobs) for r in group] for group in groups],
        }


class _Silent:
    """A tokenizer that has an end token and no words."""

    def __init__(self, eos):
        self.eos_token_id = eos

    def batch_decode(self, rows, skip_special_tokens):
        return [""] * len(rows)
