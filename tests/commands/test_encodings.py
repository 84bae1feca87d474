"""Nothing depends on the locale: what is printed fits any terminal, and files are UTF-8."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_shapes import shapes, write_shape

from conspo_study.text import speak_plainly

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
SOURCES = [
    path
    for package in ("conspo_study", "analysis", "studies")
    for path in sorted((ROOT / package).rglob("*.py"))
]
NARROW = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
"""A terminal and a file system of ASCII alone."""


def unnamed_encodings(path):
    """Calls that read or write text in the encoding of whoever runs them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        named = {keyword.arg for keyword in node.keywords}
        if name in ("run", "Popen", "check_output"):
            bad = bool({"text", "universal_newlines"} & named) and "encoding" not in named
        elif name in ("read_text", "write_text"):
            wanted = 1 if name == "read_text" else 2
            bad = len(node.args) < wanted and "encoding" not in named
        elif name in ("open", "fdopen"):
            modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            bad = any(m in ("r", "w", "a", "x", "r+", "w+") for m in modes) and (
                "encoding" not in named
            )
        else:
            continue
        if bad:
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_text_file_is_read_and_written_in_a_named_encoding():
    assert [place for path in SOURCES for place in unnamed_encodings(path)] == []


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "0.7 ± 0.1 – … é 数 ½ \udce9 ━⠋", "0.7 +- 0.1 - ... e \\u6570 \\xbd \\udce9 -*"),
        ("latin-1", "± – é", "± - é"),
        ("utf-8", "± – 数 \ud800", "± – 数 \\ud800"),
    ],
)
def test_a_stream_writes_what_looks_like_it(monkeypatch, encoding, text, written):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    speak_plainly()
    print(text, flush=True)
    assert stream.buffer.getvalue().decode(encoding) == written + "\n"


def test_a_stream_without_an_encoding_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    speak_plainly()
    print("±")
    assert sys.stdout.getvalue() == "±\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study whose tables and sentences need more than ASCII."""
    found = shapes()
    folder = tmp_path_factory.mktemp("narrow")
    write_shape(folder / "other", found["set with unicode"])
    return write_shape(folder / "study", found["set with unicode"])


STUDY = "conspo_study"
COMMANDS = {
    "status": (STUDY, "status", "{}"),
    "plan": (STUDY, "plan", "{}"),
    "export": (STUDY, "export", "{}"),
    "report": (STUDY, "report", "{}"),
    "compare": (STUDY, "compare", "{}", "{}/../other"),
    "compare, Markdown": (STUDY, "compare", "{}", "{}/../other", "--markdown"),
    "paper": (STUDY, "paper", "{}/paper", "{}"),
    "ls": (STUDY, "ls", "{}/.."),
    "help": (STUDY, "--help"),
    "all settings": (STUDY, "settings"),
    "settings of a stage": (STUDY, "settings", "objective"),
    "help of a script": ("studies.margin_sweep", "--help"),
    "a dry run": ("studies.margin_sweep", "--dry-run", "--preset", "quick"),
}


ONE_BY_ONE = """
import json, runpy, sys
from analysis.figures import style
from unwritten_figures import drawn
style.save = drawn
for name, (module, *arguments) in json.loads(sys.argv[1]).items():
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leaving:
        status = leaving.code or 0
    print(f"\\0{name}\\0{status}\\0", end="", flush=True)
"""


def test_commands_print_to_a_terminal_without_unicode(study):
    commands = {name: [w.format(study) for w in words] for name, words in COMMANDS.items()}
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", ONE_BY_ONE, json.dumps(commands)],
        capture_output=True,
        env=os.environ | NARROW | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)])},
        cwd=ROOT,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    *parts, rest = done.stdout.decode("ascii").split("\0")
    told = dict(zip(parts[1::3], zip(parts[::3], parts[2::3], strict=True), strict=True))
    assert told.keys() == COMMANDS.keys() and not rest
    assert all(text for text, _ in told.values()), told
    # The set of the study is nowhere, which its plan says on standard error.
    ends = {name: int(status) for name, (_, status) in told.items()}
    assert ends == dict.fromkeys(COMMANDS, 0) | {"plan": 2}, done.stderr
    ours = [line for line in done.stderr.decode().splitlines() if str(ROOT / "conspo") in line]
    assert not ours, "a file of ours was opened in the encoding of the locale"
