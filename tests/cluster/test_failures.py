"""Every failure that lasts is told by its cause; what a restart may cure has none."""

import errno
import subprocess
import sys

import pytest
import torch
from ray.exceptions import OutOfMemoryError, RayTaskError

from conspo_study.cluster.failures import TrialFailed, is_of_the_machine, lasting_cause
from conspo_study.text import one_line
from conspo_study.update.errors import (
    CheckpointDamaged,
    CheckpointError,
    DivergedError,
    NoContrastError,
)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DivergedError("the gradient"), "diverged: the gradient"),
        (FloatingPointError("logits"), "diverged: logits"),
        (NoContrastError("all groups"), "no contrast: all groups"),
        (CheckpointError("another run"), "checkpoint refused: another run"),
        (CheckpointDamaged("worse"), "checkpoint refused: worse"),
        (MemoryError(), "out of memory: MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "out of memory: CUDA out of memory."),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory: "),
        (OSError(errno.ENOSPC, "No space left on device", "rows"), "disk full: "),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk full: "),
        (OSError(errno.EFBIG, "File too large"), "disk full: "),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk full: I/O error"),
        (TrialFailed("diverged: on another worker"), "diverged: on another worker"),
    ],
)
def test_a_lasting_failure_has_a_cause(error, cause):
    assert lasting_cause(error).startswith(cause)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[gloo] Connection closed by peer"),
        OSError(errno.EIO, "Input/output error"),
        ValueError("a bug"),
        # Ray's words about a worker that it ended since a neighbour had taken the memory.
        OutOfMemoryError("how to address the out of memory issue: https://docs.ray.io/x.html"),
        # Ray's words about any process that died.
        RuntimeError("The actor died.\n(1) killed by the OOM killer due to high memory usage"),
    ],
)
def test_what_a_restart_may_cure_has_none(error):
    assert lasting_cause(error) is None


def test_an_error_of_a_worker_about_memory_is_not_taken_for_a_short_node():
    error = RayTaskError("train", "Traceback: CUDA out of memory", torch.OutOfMemoryError("x"))
    raised = error.as_instanceof_cause()
    assert lasting_cause(raised).startswith("out of memory: ") and is_of_the_machine(raised)


def test_the_cause_is_found_below_the_error_that_it_led_to():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("the checkpoint could not be written") from error
    except RuntimeError as error:
        assert lasting_cause(error).startswith("disk full: [Errno 28]")


def test_a_message_becomes_one_short_line():
    assert one_line(RuntimeError("\n\n  first  \nsecond")) == "first"
    assert one_line(RuntimeError("")) == "RuntimeError"
    assert len(one_line(RuntimeError("x" * 10_000))) == 400


def test_what_safetensors_says_of_a_full_disk_is_understood(tmp_path):
    code = (
        "import resource, sys, torch\n"
        "from safetensors.torch import save_file\n"
        "from conspo_study.cluster.failures import lasting_cause\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    save_file({'a': torch.zeros(10_000)}, sys.argv[1])\n"
        "except BaseException as error:\n"
        "    print(lasting_cause(error))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.safetensors")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout.startswith("disk full: "), said


def test_what_a_memory_limit_makes_torch_and_python_say_is_understood():
    code = (
        "import resource, torch\n"
        "from conspo_study.cluster.failures import lasting_cause\n"
        "limit = 8 << 30\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "for allocate in (lambda: torch.zeros(1 << 32), lambda: bytearray(1 << 34)):\n"
        "    try:\n"
        "        allocate()\n"
        "    except BaseException as error:\n"
        "        print(lasting_cause(error))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    causes = said.stdout.splitlines()
    assert [cause.split(":")[0] for cause in causes] == ["out of memory"] * 2, said
