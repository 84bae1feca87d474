"""The documented installations resolve: the pinned versions agree with each other.

Nothing is downloaded but descriptions of packages; without an index these tests are skipped.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {
    "a study on CPUs": ("dev",),
    "GPUs and the hub": ("hub", "vllm"),
}


def resolved(*arguments, given=""):
    """What uv makes of requirements."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: pip install -c constraints.txt -e '.[dev]'")
    command = [uv, "pip", "compile", "--no-header", "--no-annotate", "--python-version", "3.11"]
    # Of an index this is about one alone: what lies on this machine may be anything.
    return subprocess.run(
        [*command, "--no-config", *arguments], input=given, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def index():
    """Skips where no package index answers."""
    asked = resolved("-", given="shtab\n")
    if asked.returncode:
        pytest.skip(f"no package index is reachable: {asked.stderr.strip().splitlines()[-1]}")


@pytest.mark.parametrize("extras", EXTRAS.values(), ids=EXTRAS)
def test_the_pinned_versions_can_be_installed_together(index, extras):
    wanted = [part for extra in extras for part in ("--extra", extra)]
    done = resolved("--constraint", ROOT / "constraints.txt", *wanted, ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^([\w.-]+)==(\S+)$", done.stdout, re.MULTILINE))
    assert found["torch"] == "2.13.0"
    assert ("vllm" in found) == ("vllm" in extras)
    assert {"ray", "transformers", "optuna", "numpy"} <= found.keys()


def test_the_pages_install_vllm_where_they_run_it():
    page = (ROOT / "docs" / "cluster.md").read_text()
    before_the_preset = page.partition("--preset paper/")[0]
    assert "pip install -c constraints.txt -e '.[hub,vllm]'" in before_the_preset
    assert (
        "constraints.txt -e '/shared/conspo-study[hub,vllm]'"
        in (ROOT / "docs" / "cluster.yaml").read_text()
    )
