"""Who may import whom, what stays light to import, and how long a file may be."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    {"text", "files", "seeds", "machine", "plugins", "records", "statistics"},
    {"config", "processes", "untrusted", "extras"},
    {"policy"},
    {"data", "rollout", "reward", "objective", "update", "evaluation", "results"},
    {"definition", "doctor"},
    {
        *("training", "search", "forecast", "terminal", "watch", "tracking", "analysis"),
        "integrations",
    },
    {"cluster"},
    {"study"},
    {"commands"},
)
"""Wings, from the ground up: each imports lower floors and itself. `conspo_study` itself and
`studies` stand above them."""
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}
READERS = {"watch", "tracking", "analysis"}
"""They read what is stored, whatever wrote it."""
READ = {"records", "results", "statistics", "doctor", "text", "files", "untrusted", "extras"}
ROOMS = ("load", "statistics", "tables", "findings", "figures", "report")
"""Of `analysis`, in the same order."""
LOOSE = 6
HEAVY = {
    # library -> the only modules that may import it
    "ray": {
        *(f"conspo_study.cluster.{name}" for name in ("trial", "tune", "connection", "names")),
        "conspo_study.cluster.outlet",
        *(f"conspo_study.cluster.{name}" for name in ("prometheus", "messages", "report_relay")),
        *(f"conspo_study.cluster.{name}" for name in ("head", "restarts", "room", "searcher")),
        "conspo_study.cluster.worker_processes",
        "conspo_study.processes.fork_server",
        "conspo_study.rollout.engine_actor",
    },
    "optuna": {"conspo_study.search.samplers.optuna_samplers", "conspo_study.results.export"},
    "math_verify": {"conspo_study.reward.formulas"},
    "huggingface_hub": {"conspo_study.policy.hub"},
    "peft": {"conspo_study.policy.lora"},
    "vllm": {
        *(f"conspo_study.rollout.{name}" for name in ("vllm_actor", "vllm_weights", "weight_gpu")),
        "conspo_study.rollout.vllm_complete",
    },
    "datasets": {"conspo_study.data.hub"},
    "verl": {
        "conspo_study.integrations.verl.policy_loss",
        "conspo_study.integrations.verl.trainer_settings",
    },
    "omegaconf": {"conspo_study.integrations.verl.trainer_settings"},
    "tensorboard": {"conspo_study.tracking.to_tensorboard"},
    "wandb": {"conspo_study.tracking.to_wandb"},
    "trackio": {"conspo_study.tracking.to_trackio"},
    "trl": {"conspo_study.integrations.trl"},
    "tinker": set(),
}
OF_OTHERS = {"results", "watch", "tracking", "terminal", "update", "policy", "data", "forecast"}
OF_OTHERS |= {"analysis"}
"""Wings that read files which a stranger may have written: through `untrusted` alone."""
OPENS_OWN = {
    # module -> how often it opens a file of this package or machine, or one that it has just made
    "conspo_study.results.code": 1,
    "conspo_study.results.export": 1,
    "conspo_study.results.lease": 3,
    "conspo_study.results.snapshot": 1,
    "conspo_study.update.resident": 1,
    "conspo_study.watch.server": 1,
    "analysis.load.published": 1,
    "analysis.tables.html": 2,
}
SOURCES = [
    path
    for package in ("conspo_study", "analysis", "studies")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports_of(path):
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from conspo_study import text` names a wing as its last part.
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return names


def is_within(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def wing_of(name):
    """The wing that a module belongs to; None for what stands above all wings, or is not ours."""
    package, _, rest = name.partition(".")
    wing = "analysis" if package == "analysis" else rest.partition(".")[0]
    return wing if package in ("conspo_study", "analysis") and wing in FLOOR else None


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path):
    name = module_name(path)
    mine = wing_of(name)
    for other in imports_of(path):
        theirs = wing_of(other)
        if mine is None or theirs is None:
            continue
        assert theirs == mine or FLOOR[theirs] < FLOOR[mine], f"{name} imports {other}"
        assert mine not in READERS or theirs in READ | {mine}, f"{name} imports {other}"
        if mine == "analysis" and name.count("."):
            rooms = [other.split(".")[1], name.split(".")[1]]
            inside = theirs == mine and set(rooms) <= set(ROOMS)
            assert not inside or sorted(rooms, key=ROOMS.index) == rooms, f"{name} imports {other}"


def test_no_import_circle():
    modules = {module_name(path) for path in SOURCES}
    graph = {}
    for path in SOURCES:
        names = (name if name in modules else name.rpartition(".")[0] for name in imports_of(path))
        # A package's face hands on names of its modules, which may import each other's.
        graph[module_name(path)] = {n for n in names if n in modules and path.stem != "__init__"}
    graphlib.TopologicalSorter(graph).prepare()


def test_every_module_has_a_wing():
    loose = sorted(path.name for path in (ROOT / "conspo_study").glob("*.py"))
    assert len(loose) <= LOOSE, loose
    wings = {path.name for path in (ROOT / "conspo_study").iterdir() if path.is_dir()}
    assert wings - {"__pycache__"} == FLOOR.keys() - {"analysis"} - {Path(n).stem for n in loose}
    rooms = {path.name for path in (ROOT / "analysis").iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} == {*ROOMS, "data"}


def test_studies_import_what_the_package_shows():
    for path in (ROOT / "studies").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, f"{path.name} is over 60 lines"
        for name in imports_of(path):
            if is_within(name, {"conspo_study"}):
                assert name.count(".") == 1, f"{path.name} imports {name}"


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
        ("conspo_study.records", {"torch", "ray", "pandas", "numpy", "pydantic"}),
        (
            "conspo_study.commands.script",
            {"torch", "ray", "transformers", "optuna", "pandas", "matplotlib", "scipy"},
        ),
        ("conspo_study.reward", {"torch", "ray", "transformers", "pandas", "numpy", "math_verify"}),
        ("conspo_study.watch", {"torch", "ray", "transformers", "optuna", "pandas", "pyarrow"}),
        ("conspo_study.tracking.__main__", {"torch", "ray", "pydantic", "tensorboard", "wandb"}),
        ("conspo_study.cluster.launch", {"torch", "ray", "transformers", "optuna", "pandas"}),
        ("conspo_study.integrations", {"ray", "transformers", "trl", "tinker", "pandas", "scipy"}),
        ("conspo_study.integrations.tinker", {"ray", "transformers", "tinker", "accelerate"}),
        ("conspo_study.search", {"torch", "ray", "transformers", "optuna", "pandas"}),
        ("studies.margin_sweep", {"torch", "ray", "transformers", "optuna", "matplotlib"}),
        (
            "analysis.report",
            {"torch", "ray", "transformers", "optuna", "matplotlib", "scipy.stats"},
        ),
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


def test_files_of_others_are_opened_in_one_place():
    ways = {"read_text", "read_bytes", "open", "read_table"}
    opened = {}
    for path in SOURCES:
        if wing_of(module_name(path)) not in OF_OTHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = getattr(called, "attr", getattr(called, "id", ""))
            # `os.open` is the writers'; gzip opens what is in memory.
            of = getattr(getattr(called, "value", None), "id", "")
            if name in ways and of not in ("os", "gzip", "webbrowser"):
                opened[module_name(path)] = opened.get(module_name(path), 0) + 1
    assert opened == OPENS_OWN


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
        # What torch.distributed pickles.
        pickling = re.findall(
            r"\b(?:dist|distributed)\.(?:\w+_object(?:_list)?|checkpoint)\b", path.read_text()
        )
        assert not pickling, f"{module_name(path)} pickles: {pickling}"
