"""The costs in the documentation are those of the plan."""

import re
from pathlib import Path

import pytest

from conspo_study.config import with_overrides
from conspo_study.definition.lab_runs import LAB_RUNS
from conspo_study.definition.paper_runs import PAPER_RUNS
from conspo_study.definition.presets import EQUAL_CONDITIONS, PRESETS, preset_for
from conspo_study.forecast.gpu_hours import run_cost
from conspo_study.forecast.memory import estimate_memory
from conspo_study.forecast.memory.fit import memory_problems
from conspo_study.forecast.sampling_noise import SamplingNoise
from conspo_study.text import size_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
GIB = 2**30


def rows(name, heading):
    """Cells of the table that begins with this heading."""
    lines = iter((DOCS / name).read_text("utf-8").splitlines())
    assert next((line for line in lines if line.startswith(heading)), None)
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    "row", [*rows("one_gpu.md", "| preset | model | 24 GB")], ids=lambda r: r[0]
)
def test_memory_and_time_of_the_presets_for_one_gpu(row):
    name, model, *cards = row
    run = LAB_RUNS[name.strip("`")]
    assert model.partition(",")[0] == run.model
    for gib, said in zip((24, 40, 80), cards, strict=True):
        config = preset_for(name.strip("`"), gib)
        if memory_problems(config, 2, gib * GIB):
            assert said == "one seed alone" and not memory_problems(config, 1, gib * GIB)
            continue
        how = "adapters" if config.policy.lora_rank else "whole"
        size = size_text(estimate_memory(config, 2, gib * GIB).bytes)
        minutes = run_cost(config, gib * GIB).trial_seconds(2) / 60
        assert said == f"{how}, {size}, {minutes:.0f} min"


def test_every_preset_for_one_gpu_is_documented():
    found = [row[0].strip("`") for row in rows("one_gpu.md", "| preset | model | 24 GB")]
    assert found == [*LAB_RUNS]


def test_what_seeds_can_show_is_what_the_plan_says():
    text = " ".join((DOCS / "one_gpu.md").read_text("utf-8").split())
    noise = SamplingNoise((2 / 6 / 1200) ** 0.5, 300, 4)
    found = [re.search(r"from ([\d.]+) up", noise.line(seeds))[1] for seeds in (3, 5)]
    assert f"a standard deviation of {noise.sd:.3f}, " in text
    assert f"(`--seeds 0,1,2`) must exceed {found[0]} at the very least" in text
    assert f"with five {found[1]}" in text


PAPER = {
    "R1-Distill-Qwen-1.5B": "qwen-1.5b",
    "the same, DAPO-Math-17k": "qwen-1.5b-dapo",
    "R1-Distill-Qwen-7B": "qwen-7b",
    "R1-Distill-Llama-8B": "llama-8b",
    "Qwen3-4B-Base": "qwen3-4b",
    "Llama-3.2-3B-Instruct": "llama-3b",
    "R1-Distill-Qwen-32B": "qwen-32b",
}


@pytest.mark.parametrize("row", [*rows("paper.md", "| model | N | problems")], ids=lambda r: r[0])
def test_hours_of_the_paper_s_runs(row):
    preset = f"paper/{PAPER[row[0]]}"
    cost = run_cost(with_overrides(PRESETS[preset], EQUAL_CONDITIONS), 80 * GIB)
    seconds = (cost.rollouts_s, cost.update_s, cost.evaluation_s, cost.seconds)
    assert row[4:] == [f"{cost.hours(each):,.0f}" for each in seconds]
    assert row[3].replace("e", "e+0") == f"{cost.tokens:.1e}"
    assert len(PAPER) == len(PAPER_RUNS)


@pytest.mark.parametrize(
    "row",
    [row for row in rows("paper.md", "| in the paper | study") if "paper/" in row[2]],
    ids=lambda r: r[0],
)
def test_hours_of_the_paper_s_tables(row):
    _, study, preset, runs, hours, fits = row
    name = preset.strip("`")
    equal = EQUAL_CONDITIONS if study == "`baselines`" else {}
    each = run_cost(with_overrides(PRESETS[name], equal), 80 * GIB)
    about = int(runs) * each.hours(each.seconds)
    # Two more mini-batches of one of two runs are less than 3 % of both.
    assert float(hours.replace(",", "")) == pytest.approx(about, rel=0.03)
    count = next((n for n in (3, 2, 1) if not memory_problems(PRESETS[name], n, 80 * GIB)), 0)
    assert fits == {3: "yes", 2: "two seeds at a time", 0: "no"}[count]
