"""A worker is killed or runs out of disk or memory: the trial comes out as if undisturbed."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest
from trials_under_fire import (
    STEPS,
    leftovers,
    make_spec,
    run_plain,
    start_plain,
    what_it_left,
)

from conspo_study.results.incidents import read_incidents
from conspo_study.results.rows import read_eval_rows, read_steps

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("flushing")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_policy):
    spec = make_spec(tmp_path_factory.mktemp("undisturbed"))
    run_plain(spec, tiny_policy)
    left = what_it_left(spec)
    assert [(row["seed"], row["step"]) for row in left["steps"]] == [
        (seed, step) for seed in spec.seeds for step in range(1, STEPS + 1)
    ]
    return left


def kill_when(condition, process):
    """Kill `process` at a moment at which `condition()` holds; returns whether it still ran."""
    deadline = time.monotonic() + 120
    while True:
        while not condition():
            if process.exitcode is not None:
                return False
            assert time.monotonic() < deadline
        os.kill(process.pid, signal.SIGSTOP)
        if condition():  # and it stays so
            break
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def rows_of(spec):
    try:
        return (spec.folder / "steps.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def being_written(spec, pattern):
    return any(spec.run_folder.glob(pattern)) or any(spec.folder.glob(pattern))


def test_a_trial_killed_again_and_again_is_the_undisturbed_trial(
    undisturbed, tiny_policy, tmp_path
):
    spec = make_spec(tmp_path)
    points = [
        lambda: being_written(spec, ".eval-*"),
        lambda: rows_of(spec) >= 3,  # before the first checkpoint
        lambda: being_written(spec, "checkpoint_*.partial"),
        lambda: rows_of(spec) >= 2 * 12,
        lambda: being_written(spec, "checkpoint_00020.partial"),
        lambda: (spec.run_folder / "checkpoint_00025").exists(),
        lambda: being_written(spec, "checkpoint_00030.partial"),
        lambda: (spec.run_folder / "checkpoint_00030").exists(),
    ]
    killed = [kill_when(point, start_plain(spec, tiny_policy)) for point in points]
    assert sum(killed) >= 6, killed
    process = start_plain(spec, tiny_policy)
    process.join(120)
    assert process.exitcode == 0
    assert what_it_left(spec) == undisturbed
    assert not any(name.endswith(".partial") for name in leftovers(spec))
    kinds = [row["type"] for row in read_incidents(spec.folder)]
    assert kinds.count("degenerate_step") == 1


def test_a_worker_killed_while_it_writes_a_checkpoint_costs_that_checkpoint_only(
    undisturbed, tiny_policy, tmp_path
):
    spec = make_spec(tmp_path)
    for _ in range(5):
        torn = spec.run_folder / "checkpoint_00010.partial"
        kill_when(torn.exists, start_plain(spec, tiny_policy))
        if torn.exists():
            break
        for whole in spec.run_folder.glob("checkpoint_*"):  # it was faster: once more
            whole.rename(tmp_path / f"{whole.name}-{time.monotonic_ns()}")
    assert (spec.run_folder / "checkpoint_00005").exists()
    assert not (torn / "manifest.json").exists()
    run_plain(spec, tiny_policy)
    assert what_it_left(spec) == undisturbed
    damage = read_incidents(spec.folder)[0]
    assert damage["type"] == "checkpoint_damaged"
    assert damage["detail"] == "checkpoint_00010 was being written when its process died"


def limit(what, amount):
    def prepare():
        resource.setrlimit(what, (amount(), resource.RLIM_INFINITY))

    return prepare


@pytest.mark.parametrize(
    ("largest", "where"),
    [(200_000, "checkpoint"), (2_000, "evaluation or rows")],
)
def test_a_full_disk_fails_the_trial_by_name_and_it_goes_on_when_there_is_room(
    undisturbed, tiny_policy, tmp_path, largest, where
):
    spec = make_spec(tmp_path)
    process = start_plain(spec, tiny_policy, limit(resource.RLIMIT_FSIZE, lambda: largest))
    process.join(120)
    assert process.exitcode == 0
    cause = (spec.folder / "cause").read_text()
    assert cause.startswith("disk full: "), cause
    assert leftovers(spec) == []
    read_steps(spec.folder / "steps.jsonl")  # all that is there can be read
    read_eval_rows(spec.folder)
    run_plain(spec, tiny_policy)
    assert what_it_left(spec) == undisturbed


def test_a_trial_out_of_memory_fails_by_name(tiny_policy, tmp_path):
    def address_space():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize() + (64 << 20)

    # Everything at once: far more than 64 MiB of activations.
    greedy = {"rollout.prompts_per_step": 128, "rollout.group_size": 32, "rollout.batch_rows": 4096}
    spec = make_spec(tmp_path, **greedy)
    process = start_plain(spec, tiny_policy, limit(resource.RLIMIT_AS, address_space))
    process.join(120)
    assert process.exitcode == 0
    cause = (spec.folder / "cause").read_text()
    assert cause.startswith("out of memory: "), cause
