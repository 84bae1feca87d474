"""`pip install conspo-study`, without an extra: what works, what says which extra it needs, and
that it stands beside the trainers of others."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from bare_environments import BareEnvironment, build_wheel, uv
from run_files import five_by_five, table

from conspo_study import extras
from conspo_study.commands.command_line import main

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
TYPED = "pip install 'conspo-study[study]'"
LIBRARY = r"""
import math, sys
import torch
from conspo_study.config import ConSPOOptions
from conspo_study.objective import GroupBatch, Progress, conspo, objective_of, token_weights
from conspo_study.reward import Verifier

logprobs_T = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64)
batch = GroupBatch.of(logprobs_T, logprobs_T, [1, 2], [2], [True, False])
options = ConSPOOptions(tau=2.0, schedule="off")
found = token_weights(batch, objective_of(ConSPOOptions), options, Progress(0, 1))
share = 1 / (1 + math.exp((-2.5 - -1.0) / 2))  # of the right response, mean -1, against mean -2.5
assert math.isclose(found.loss, -2 * math.log(share), rel_tol=1e-12), found
expected = [-(1 - share), (1 - share) / 2, (1 - share) / 2]
assert torch.allclose(found.weights_T, torch.tensor(expected, dtype=torch.float64)), found

with Verifier() as verifier:  # a formula, which a checking process compares
    right, wrong = verifier.verify(
        [(r"\sqrt{2}", r"\boxed{\frac{\sqrt{8}}{2}}"), (r"\sqrt{2}", r"\boxed{\sqrt{3}}")]
    )
assert (right.verdict.value, wrong.verdict.value) == ("correct", "wrong"), (right, wrong)

import analysis, conspo_study
assert conspo_study.load(sys.argv[1]).best.id == "t0003"
assert not {"ray", "transformers", "optuna"} & sys.modules.keys()
print("all of it works")
"""
READING = ("status", "report", "paper", "compare", "repair", "ls", "settings", "data check")


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement).group()


def test_no_requirement_of_a_light_installation_has_an_upper_bound_or_is_pinned_by_trainers():
    for requirement in PROJECT["dependencies"]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement
    light = {name_of(requirement) for requirement in PROJECT["dependencies"]}
    assert light.isdisjoint({"ray", "transformers", "optuna", "vllm", "datasets", "peft"})
    assert light >= {
        *("torch", "pydantic", "safetensors", "numpy", "scipy", "pandas", "pyarrow", "matplotlib"),
        "math-verify",
    }


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_a_hint_names_the_extra_that_brings_the_package(extra):
    brought = {name_of(requirement) for requirement in OPTIONAL[extra]}
    assert set(extras.EXTRAS[extra]) <= brought
    assert set(extras.EXTRAS[extra]).isdisjoint(map(name_of, PROJECT["dependencies"]))
    assert extras.command(extra) == f"pip install 'conspo-study[{extra}]'"


def test_those_who_develop_or_train_real_models_can_run_studies():
    (own,) = [one for one in OPTIONAL["dev"] if one.startswith("conspo-study")]
    assert "study" in re.findall(r"\w[\w-]*", own.partition("[")[2])
    for extra in ("gguf", "lora", "vllm"):
        assert "conspo-study[study]" in OPTIONAL[extra]


def test_what_is_missing_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(extras, "installed", lambda name: name != "ray")
    with pytest.raises(extras.MissingPackage) as caught:
        extras.require("running a study", "study")
    said = str(caught.value)
    assert said == f"running a study needs ray, not installed for {sys.executable}: {TYPED}"
    monkeypatch.setattr(extras, "installed", lambda name: False)
    with pytest.raises(extras.MissingPackage, match="needs ray, transformers and optuna, not"):
        from conspo_study import Study  # noqa: F401
    monkeypatch.setattr(extras, "installed", lambda name: True)
    assert extras.lack("running a study", "study") is None


def test_a_folder_without_python_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "wandb_of_a_test").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not extras.installed("wandb_of_a_test")
    (tmp_path / "wandb_of_a_test" / "__init__.py").touch()
    assert extras.installed("wandb_of_a_test")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "margin_sweep"),
        ("run", "no_such_study"),
        ("plan", "margin_sweep"),
        ("resume", "results"),
        ("extend", "results", "--trials", "9"),
        ("export", "results"),
    ],
    ids=" ".join,
)
def test_a_verb_that_needs_ray_ends_with_one_line_and_status_2(
    words, tmp_path, monkeypatch, capsys
):
    shutil.copytree(ROOT / "tests" / "assets" / "results_v2", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extras, "installed", lambda name: name not in ("ray", "optuna"))
    assert main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].endswith(TYPED) and " needs ray" in said[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if (asked := uv("pip", "compile", "--quiet", "-", given="shtab\n")).returncode:
        pytest.skip(f"no package index is reachable: {asked.stderr.strip().splitlines()[-1]}")
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def light(wheel, tmp_path_factory):
    return BareEnvironment(tmp_path_factory.mktemp("light") / "env", wheel)


@pytest.fixture
def results(tmp_path):
    """A results directory that another machine could have sent."""
    return shutil.copytree(ROOT / "tests" / "assets" / "results_v2", tmp_path / "results")


@pytest.mark.slow
def test_objectives_verifier_and_analysis_work_in_a_light_installation(light, results, tmp_path):
    done = light.run("python", "-c", LIBRARY, results, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "all of it works\n"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", READING)
def test_a_verb_that_reads_works_in_a_light_installation(verb, light, results, tmp_path):
    other = shutil.copytree(results, tmp_path / "other")
    words = {"ls": [tmp_path], "settings": [], "data check": [], "compare": [results, other]}
    words = words.get(verb, [results])
    done = light.run("conspo", *verb.split(), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if verb == "report":
        assert (results / "report.html").stat().st_size > 10_000
        assert (results / "figures" / "learning_curves.png").is_file()


@pytest.mark.slow
def test_runs_of_any_trainer_are_compared_in_a_light_installation(light, tmp_path):
    (tmp_path / "runs.csv").write_text(table(five_by_five()))
    done = light.run("conspo", "compare", "runs.csv", cwd=tmp_path)
    assert done.returncode == 0 and "tau 1 minus grpo: +0.05558 on 5" in done.stdout, done.stderr
    assert (tmp_path / "comparison" / "differences.png").stat().st_size > 5000


@pytest.mark.slow
def test_a_light_installation_says_what_running_a_study_needs(light, results, tmp_path):
    for words in (("run", "margin_sweep"), ("resume", results), ("export", results)):
        done = light.run("conspo", *words, cwd=tmp_path)
        (said,) = done.stderr.splitlines()
        assert done.returncode == 2 and said.startswith("error: ") and said.endswith(TYPED), said
    done = light.run("python", "-c", "from conspo_study import Study", cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "conspo_study.Study needs ray, transf" in last and TYPED in last


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest versions have no wheels for it")
def test_the_oldest_versions_that_are_allowed_read_and_analyse(
    wheel, results, tmp_path_factory, tmp_path
):
    """All but torch, whose older builds are gigabytes."""
    wanted = [one for one in PROJECT["dependencies"] if name_of(one) != "torch"]
    oldest = ("--resolution", "lowest-direct")
    folder = tmp_path_factory.mktemp("oldest") / "env"
    environment = BareEnvironment(folder, *wanted, options=oldest)
    environment.install("--no-deps", wheel)
    (tmp_path / "runs.csv").write_text(table(five_by_five()))
    for words in (("compare", "runs.csv"), ("report", results), ("status", results)):
        done = environment.run("conspo", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_light_installation_stands_beside_trl(wheel, results, tmp_path_factory, tmp_path):
    beside = BareEnvironment(tmp_path_factory.mktemp("trl") / "env", wheel, "trl==1.16.0")
    trainers = "from trl import GRPOConfig, GRPOTrainer"
    done = beside.run("python", "-W", "ignore", "-c", trainers, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = beside.run("python", "-c", LIBRARY, results, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "all of it works\n"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["verl==0.9.1", "vllm==0.32.0", "openrlhf==0.11.2"])
def test_a_light_installation_resolves_beside(trainer, wheel):
    """Their pins decide, down to the older parser runtime that verl's configuration needs."""
    options = ("--quiet", "--no-header", "--no-annotate", "--python-version", "3.12")
    asked = f"conspo-study @ {wheel.as_uri()}\n{trainer}\n"
    done = uv("pip", "compile", *options, "--python-platform", "linux", "-", given=asked)
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^([\w.-]+)==(\S+)$", done.stdout, re.MULTILINE))
    name, _, version = trainer.partition("==")
    assert found[name] == version and {"torch", "math-verify", "pyarrow"} <= found.keys()
    if name == "verl":
        assert found["antlr4-python3-runtime"] == "4.9.3"
    if name == "openrlhf":
        assert (found["ray"], found["transformers"]) == ("2.55.0", "5.15.0")
