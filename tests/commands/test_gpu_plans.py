"""Plans for a GPU: its size chooses a preset's settings, and refuses what does not fit, with one
error, before anything is spent."""

import shutil
from types import SimpleNamespace

import pytest

from conspo_study.commands.command_line import main

MODEL = "Qwen/Qwen2.5-1.5B-Instruct"
SWEEP = ["plan", "margin_sweep", "--preset", "lab/qwen2.5-1.5b-math"]
GIB = 2**30


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine of eight cores and one GPU of unknown size, with all libraries, a network and a
    large disk, but no model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "96")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("conspo_study.study.study.usable_cores", lambda: 8)
    monkeypatch.setattr("conspo_study.study.study.usable_gpus", lambda: 1)
    monkeypatch.setattr("conspo_study.study.preflight.installed", lambda name: True)
    monkeypatch.setattr("conspo_study.extras.installed", lambda name: True)
    monkeypatch.setattr("conspo_study.policy.sources.offline", lambda: False)
    monkeypatch.setattr("conspo_study.forecast.memory.trials.usable_memory", lambda: 10**12)
    usage = SimpleNamespace(total=10**13, used=0, free=4 * 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr("conspo_study.results.retention.disk_usage", lambda path: usage)


def plan(capsys, *words):
    status = main([*SWEEP, *words])
    shown = capsys.readouterr()
    return status, " ".join(shown.out.split()), shown.err


def test_on_80_gib_all_weights_are_trained_and_the_sweep_can_run(capsys):
    status, said, error = plan(capsys, "--gpu-memory", "80")
    assert (status, error) == (0, "")
    for part in (
        "preset lab/qwen2.5-1.5b-math for a GPU of 80 GiB, with not yet run on a GPU: what follows "
        "is arithmetic objective.margin_unit = tau (preset: score) searched",
        "concurrency 1 trial at a time, each 1 x 5 CPU cores and 1 GPU, limited by 1 GPUs",
        "24.7 GB AdamW = 8 B x 1,544 M trained x 2 seeds",
        "sampling: 21.5 GB engine = rollout.vllm_gpu_memory 0.25 x 85.9 GB",
        "fits on a GPU of 80 GiB (85.9 GB), of which 8% are to stay free (6.87 GB",
        "main memory about 10.7 GB of main memory beside the GPU",
        "on GPUs as fast as an H100 (assumed), for 33 runs",
        "the model itself is fetched first: about 3.09 GB",
        "can detect search: two seeds decide nothing: a verdict needs three",
        f"{MODEL} is not on this machine: it is fetched (about 3.09 GB) and looked at when the "
        f"study starts; to do so before: hf download {MODEL}",
        "math-train, math500: fetched from the hub when the study starts",
    ):
        assert part in said, part


def test_on_40_gib_adapters_are_trained(capsys):
    status, said, error = plan(capsys, "--gpu-memory", "40")
    assert (status, error) == (0, "")
    assert "preset lab/qwen2.5-1.5b-math for a GPU of 40 GiB, with" in said
    assert "295 MB adapters = 4 B x 36.93 M x 2 seeds" in said
    assert "sending weights: 110 MB merged weights = 2 x 4 B x 13.76 M of the largest" in said
    assert "as fast as an A100 of 40 GB (assumed)" in said


def test_adapters_without_their_library_are_refused(capsys, monkeypatch):
    monkeypatch.setattr("conspo_study.extras.installed", lambda name: name != "peft")
    assert plan(capsys, "--gpu-memory", "80")[0] == 0
    status, _, error = plan(capsys, "--gpu-memory", "40")
    assert status == 2 and "policy.lora_rank needs peft, not" in error
    assert "pip install 'conspo-study[lora]'" in error


def test_on_24_gib_three_seeds_are_refused_by_one_error_and_two_fit(capsys):
    seeds = ("--gpu-memory", "24", "--no-confirm", "--seeds")
    status, said, error = plan(capsys, *seeds, "0,1,2")
    assert status == 2
    assert error == (
        "error: cannot run: a worker of a trial with 3 seeds needs about 28.2 GB of GPU memory "
        "while sending weights (18.5 GB weights, 3.09 GB the engine's weights, 2.5 GB sleeping "
        "engine, 2.15 GB copies of weights), and of a GPU of 24 GiB (25.8 GB) it may take 23.7 GB: "
        "--seeds 0,1 makes it fit\n"
    )
    assert "4.49 GB too much" in said
    two = plan(capsys, *seeds, "0,1")
    assert two[0] == 0 and two[2] == ""


def test_a_gpu_that_is_here_is_asked_for_its_size(capsys, monkeypatch):
    monkeypatch.setattr(
        "conspo_study.forecast.placement.smallest_gpu_bytes", lambda: int(39.6 * GIB)
    )
    status, said, error = plan(capsys)
    assert (status, error) == (0, "")
    assert "for a GPU of 39.6 GiB, with" in said and "adapters" in said
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    said = plan(capsys)[1]
    assert "for a GPU of 80 GiB, with" in said and "on the cluster its size is unknown" in said


def test_on_a_cluster_a_named_size_refuses_before_anything_is_connected(capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr("conspo_study.study.preflight.asks_for_a_token", lambda: None)
    status, _, error = plan(capsys, "--gpu-memory", "24", "--no-confirm", "--seeds", "0,1,2")
    assert status == 2 and "--seeds 0,1 makes it fit" in error


def test_a_run_refuses_what_its_plan_refuses(capsys, tmp_path):
    words = ["run", *SWEEP[1:], "--gpu-memory", "16", "--no-confirm", "--set", "train.workers=1"]
    monkey = [*words, "--set", "data.train=chain", "--set", 'evaluation.sets=["chain/hard"]']
    assert main(monkey) == 2
    assert "of a GPU of 16 GiB (17.2 GB) it may take 15.8 GB" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("size", ["0", "-3", "nan", "inf"])
def test_what_is_no_size_of_a_gpu_is_refused(capsys, size):
    status, _, error = plan(capsys, f"--gpu-memory={size}")
    assert status == 2 and "give the GiB of a GPU, such as 24, 40 or 80" in error


def test_a_disk_that_is_clearly_too_small_is_refused_by_the_plan(capsys, monkeypatch):
    usage = SimpleNamespace(total=10**13, used=0, free=10**11)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr("conspo_study.results.retention.disk_usage", lambda path: usage)
    status, _, error = plan(capsys, "--gpu-memory", "80")
    assert status == 2
    assert "the study needs about 389 GB of disk for checkpoints and rows, and 100 GB" in error
    assert "or fewer trials or seeds" in error


def test_a_study_that_has_begun_is_planned_for_another_gpu(capsys, tmp_path, monkeypatch):
    from conspo_study.commands.options import StudyChoice
    from conspo_study.commands.script import chosen_study
    from conspo_study.study import Study
    from studies.margin_sweep import margin_sweep

    study = chosen_study(
        margin_sweep, StudyChoice(preset="lab/qwen2.5-0.5b-gsm8k", confirm=False), {}
    )
    monkeypatch.setattr("conspo_study.commands.plan.holds_study", lambda folder: True)
    monkeypatch.setattr(Study, "of_folder", lambda folder, trust_code=False: study)
    assert main(["plan", str(tmp_path / "results/x"), "--gpu-memory", "16"]) == 2
    shown = capsys.readouterr()
    assert "of a GPU of 16 GiB (17.2 GB) it may take 15.8 GB" in shown.err
