"""Who may import whom, what stays light to import, and how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("data", "policy", "rollout", "reward", "objective", "update", "evaluation", "results")
SHARED = {
    "conspo_study.config",
    "conspo_study.machine",
    "conspo_study.plugins",
    "conspo_study.records",
}
COMMAND_LINE = {"conspo_study.output", "conspo_study.typed_paths"}
HEAVY = {
    # library -> the only modules that may import it
    "ray": {
        f"conspo_study.{name}"
        for name in (
            *("ray_train", "ray_tune", "launch", "spawner", "worker_processes", "report_relay"),
            *("ray_names", "metrics_export", "ray_messages"),
            "rollout.engine_actor",
        )
    },
    "optuna": {"conspo_study.samplers.optuna_samplers", "conspo_study.results.export"},
    "math_verify": {"conspo_study.reward.math_task"},
    "huggingface_hub": {"conspo_study.policy.hub"},
    "peft": {"conspo_study.policy.lora"},
    "vllm": {
        f"conspo_study.rollout.{name}" for name in ("vllm_actor", "vllm_weights", "weight_gpu")
    },
    "datasets": {"conspo_study.data.hub"},
    "tensorboard": {"conspo_study.tracking.to_tensorboard"},
    "wandb": {"conspo_study.tracking.to_wandb"},
    "trackio": {"conspo_study.tracking.to_trackio"},
}
SOURCES = [
    path
    for package in ("conspo_study", "analysis", "studies")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def is_within(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_configuration_records_and_itself(stage):
    allowed = SHARED | {f"conspo_study.{stage}"}
    for path in (ROOT / "conspo_study" / stage).rglob("*.py"):
        for name in imports_of(path):
            if is_within(name, {"conspo_study", "analysis", "studies"}):
                assert is_within(name, allowed), f"{module_name(path)} imports {name}"


def test_configuration_and_records_import_nothing_of_ours_and_no_heavy_library():
    paths = [*(ROOT / "conspo_study/config").rglob("*.py"), ROOT / "conspo_study/records.py"]
    for path in paths:
        for name in imports_of(path):
            if is_within(name, {"conspo_study"}):
                assert is_within(name, SHARED), f"{module_name(path)} imports {name}"
            assert not is_within(name, {"torch", "ray", "transformers", "pandas", "numpy"})


def test_analysis_reads_results_and_nothing_else_of_ours():
    for path in (ROOT / "analysis").rglob("*.py"):
        for name in imports_of(path):
            assert not is_within(name, {"torch", "ray", "transformers", "optuna"})
            if is_within(name, {"conspo_study"}):
                allowed = {"conspo_study.records", "conspo_study.results", *COMMAND_LINE}
                assert is_within(name, allowed), f"{module_name(path)} imports {name}"


def test_the_study_page_reads_results_and_nothing_else_of_ours():
    allowed = {f"conspo_study.{name}" for name in ("records", "results", "watch")}
    for path in (ROOT / "conspo_study" / "watch").rglob("*.py"):
        for name in imports_of(path):
            assert not is_within(name, {"torch", "ray", "transformers", "optuna", "pandas"})
            if is_within(name, {"conspo_study", "analysis", "studies"}):
                assert is_within(name, allowed), f"{module_name(path)} imports {name}"


def test_tracking_reads_results_and_nothing_else_of_ours():
    allowed = {f"conspo_study.{name}" for name in ("records", "results", "tracking")}
    for path in (ROOT / "conspo_study/tracking").rglob("*.py"):
        for name in imports_of(path):
            if is_within(name, {"conspo_study", "analysis", "studies"}):
                assert is_within(name, allowed), f"{module_name(path)} imports {name}"


def test_studies_import_declarations_only():
    allowed = {
        f"conspo_study.{name}"
        for name in ("cli", "config", "definition", "presets", "space", "study")
    }
    for path in (ROOT / "studies").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, f"{path.name} is over 60 lines"
        for name in imports_of(path):
            if is_within(name, {"conspo_study"}):
                assert is_within(name, allowed), f"{path.name} imports {name}"


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_lives_in_its_named_files(library):
    for path in SOURCES:
        if any(is_within(name, {library}) for name in imports_of(path)):
            assert module_name(path) in HEAVY[library], f"{module_name(path)} imports {library}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("conspo_study", {"pydantic", "torch", "ray", "pandas", "numpy"}),
        ("conspo_study.config", {"torch", "ray", "pandas", "numpy"}),
        (
            "conspo_study.cli",
            {"torch", "ray", "transformers", "optuna", "pandas", "matplotlib", "scipy"},
        ),
        ("conspo_study.watch", {"torch", "ray", "transformers", "optuna", "pandas", "pyarrow"}),
        ("conspo_study.tracking.__main__", {"torch", "ray", "pydantic", "tensorboard", "wandb"}),
        ("conspo_study.launch", {"torch", "ray", "transformers", "optuna", "pandas"}),
        ("conspo_study.search", {"torch", "ray", "transformers", "optuna", "pandas"}),
        ("studies.margin_sweep", {"torch", "ray", "transformers", "optuna", "matplotlib"}),
        ("analysis.report", {"torch", "ray", "transformers", "optuna"}),
    ],
)
def test_importing_stays_light(module, absent):
    code = f"import sys, {module}; print(*sorted({absent!r} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 400


def test_nothing_is_pickled_or_evaluated():
    for path in SOURCES:
        for name in imports_of(path):
            assert name.partition(".")[0] not in {"pickle", "dill", "cloudpickle", "marshal"}
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec"}, f"{module_name(path)} evaluates text"
