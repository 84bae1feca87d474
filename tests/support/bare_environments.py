"""Environments with nothing but a wheel of this package and what it asks for, made by uv."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = ("--constraint", ROOT / "constraints.txt")
PARTS = ("conspo_study", "analysis", "studies", "pyproject.toml", "README.md", "LICENSE")


def uv(*words, given=None):
    """Runs uv, which reads no configuration of this machine but where wheels lie."""
    program = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if program is None:
        pytest.skip("uv is not installed: pip install -c constraints.txt -e '.[dev]'")
    places = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
    return subprocess.run(
        [program, "--no-config", *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        env={**os.environ, **{name: value for name, value in places.items() if value}},
    )


def build_wheel(folder):
    """The wheel of this tree, built of a copy: of the tree itself, what an earlier build left in
    it would go along."""
    source = folder / "source"
    source.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    built = uv("build", "--quiet", "--wheel", "--out-dir", folder / "wheel", source)
    assert built.returncode == 0, built.stderr
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


class BareEnvironment:
    """An environment of its own in `folder`, with the packages that are asked for."""

    def __init__(self, folder, *wanted, options=PINNED):
        begun = time.monotonic()
        made = uv("venv", "--quiet", "--python", sys.executable, folder)
        assert made.returncode == 0, made.stderr
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.install(*options, *wanted)
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        size = sum(path.stat().st_size for path in files)
        took = time.monotonic() - begun
        print(f"{' '.join(map(str, wanted))}: {size / 1e6:.0f} MB in {took:.1f} s")

    def install(self, *words):
        """Adds packages, or one of them as the options say."""
        options = ("--quiet", "--link-mode", "hardlink", "--python", self.bin / "python")
        done = uv("pip", "install", *options, *words)
        assert done.returncode == 0, done.stderr

    def run(self, program, *words, cwd):
        """What a program of the environment does; Python sees neither this tree nor its tests."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.bin / program, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**kept, "COLUMNS": "200"},
        )
