"""The checking process: asks math-verify about one pair at a time until its input ends.

Run as `python -m conspo_study.reward.worker DEADLINE_S MEMORY_MB`; Linux only (it reads /proc).
Requests and replies are lines of JSON. The first line written is `{"ready": true}` or
`{"error": "..."}`; after it, each request `{"gold": ..., "answer": ...}` is answered with
`{"verdict": ..., "last": ...}`, where `last` announces that this process must be replaced.

math-verify's own time-outs are off in here, and only in here: the parent owns the clock and kills
this process. They are signal handlers of Python, which a long operation in C never lets run.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from conspo_study.records import Verdict

_START_S = 300.0
_MIB = 1 << 20

_Judge = Callable[[str, str], Verdict]


def _load() -> _Judge:
    """Import math-verify and return the function that judges an answer by a gold answer."""
    from math_verify import LatexExtractionConfig, parse, verify

    # The default configuration also looks for bare numbers and then reads `1/2(v+1 / 2) = ...` as
    # 2 when the formula itself is beyond it; a boxed answer is LaTeX or nothing.
    extraction = (LatexExtractionConfig(boxed_match_priority=0),)

    def parsed(text: str) -> list[Any]:
        found: list[Any] = parse(f"\\boxed{{{text}}}", extraction, parsing_timeout=None)
        return found

    parsed_gold = lru_cache(maxsize=1024)(parsed)

    def understood(readings: list[Any]) -> bool:
        # A string among the readings is the text itself, which is all there is if parsing failed.
        return any(not isinstance(reading, str) for reading in readings)

    def judge(gold: str, answer: str) -> Verdict:
        golds = parsed_gold(gold)
        if not understood(golds):
            return Verdict.GOLD_BAD
        answers = parsed(answer)
        # The order matters: verify is not symmetric.
        if verify(golds, answers, timeout_seconds=None):
            return Verdict.CORRECT
        return Verdict.WRONG if understood(answers) else Verdict.UNPARSABLE

    # The first call builds parser tables, which must not be charged to the first pair.
    judge("\\frac{1}{2}", "0.5")
    return judge


def _peak_bytes() -> int:
    """The largest address space that this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmPeak: the memory cap of a check needs Linux")


def _arm(seconds: float) -> None:
    """Have the kernel end this process in `seconds` (0: never).

    A process that computes does not see its input end, so this is what removes it when the parent
    was killed. No Python handler is involved; the default action of SIGALRM is to terminate.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _serve(
    judge: _Judge, requests: BinaryIO, replies: BinaryIO, deadline_s: float, cap: int
) -> None:
    start = _peak_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (start + cap, start + cap))
    _reply(replies, ready=True)
    for line in requests:
        request = json.loads(line)
        _arm(2 * deadline_s + 5)
        try:
            verdict = judge(request["gold"], request["answer"])
            used = _peak_bytes() - start
        except MemoryError:
            verdict, used = Verdict.KILLED, cap
        # math-verify and sympy swallow MemoryError and go on to another, negative conclusion.
        # Whatever was concluded by "no" close to the cap is therefore not a conclusion.
        if used > cap // 2 and verdict is not Verdict.CORRECT:
            verdict = Verdict.KILLED
        _arm(0)
        # Retiring early leaves each pair at least three quarters of the cap.
        last = used > cap // 4
        _reply(replies, verdict=verdict.value, last=last)
        if last:
            return


def _reply(replies: BinaryIO, **message: object) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def main() -> None:
    """Serve requests from standard input; standard output carries replies and nothing else."""
    deadline_s, cap = float(sys.argv[1]), int(sys.argv[2]) * _MIB
    replies = os.fdopen(os.dup(1), "wb")
    # Libraries may print and log what a model wrote; none of it may reach a terminal or a log.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    _arm(_START_S)
    try:
        judge = _load()
    except Exception as error:
        _reply(replies, error=f"{type(error).__name__}: {error}")
        return
    _arm(0)
    _serve(judge, sys.stdin.buffer, replies, deadline_s, cap)


if __name__ == "__main__":
    main()
