"""verl finds the plugin by itself, in a process that knows nothing but `import verl`."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.integrations
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of metadata as pip writes them for this project."""
    pytest.importorskip("verl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    metadata = folder / "conspo_study-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: conspo-study\nVersion: 0\n")
    groups = project["entry-points"]
    lines = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in groups[g].items()) for g in groups]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


def python(installed, code, **environment):
    path = os.pathsep.join([str(installed), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=installed,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=True,
    )


def test_verls_own_loader_registers_loss_and_estimator(installed):
    code = """
import sys, verl
assert "verl.trainer.ppo.ray_trainer" not in sys.modules, "import verl has become heavier"
from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
print(get_policy_loss_fn("conspo").__module__, get_adv_estimator_fn("conspo").__module__)
from verl.experimental.separation import ray_trainer as separation
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.v1 import utils
compute = ray_trainer.compute_advantage
assert compute is utils.compute_advantage is separation.compute_advantage
print(compute.without_conspo.__module__, type(ray_trainer.__loader__).__name__)
"""
    assert python(installed, code).stdout.split() == [
        "conspo_study.integrations.verl.policy_loss",
        "conspo_study.integrations.verl.estimator",
        "verl.trainer.ppo.ray_trainer",
        "SourceFileLoader",
    ]


def test_verl_can_be_told_to_leave_it(installed):
    code = """
import verl
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
print("conspo" in POLICY_LOSS_REGISTRY)
"""
    out = python(installed, code, VERL_USE_EXTERNAL_PLUGINS="none").stdout
    assert out.split() == ["False"]


def test_modules_imported_before_are_changed_too(installed):
    code = """
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.v1 import utils
before = ray_trainer.compute_advantage
import conspo_study.integrations.verl.plugin
assert ray_trainer.compute_advantage is utils.compute_advantage is not before
print(ray_trainer.compute_advantage.without_conspo is before)
"""
    out = python(installed, code, VERL_USE_EXTERNAL_PLUGINS="none").stdout
    assert out.split() == ["True"]


def test_a_verl_of_another_form_is_said_on_stderr_and_nothing_breaks(installed):
    code = """
import types, sys
import conspo_study.integrations.verl.plugin as plugin
from verl.trainer.ppo import core_algos
plugin._loudly(plugin._register)(types.ModuleType("verl.trainer.ppo.core_algos"))
"""
    run = python(installed, code, VERL_USE_EXTERNAL_PLUGINS="none")
    assert "no objective `conspo` in this verl" in run.stderr
    assert "register_adv_est" in run.stderr
