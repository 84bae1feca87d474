"""Times what a user waits for before anything happens: imports, `--help`, the plan of a study.

    python benchmarks/import_times.py [--runs 15] [--json results.json]

Every command is a fresh interpreter, all of them in turn, `python -c pass` among them. The number
to read is `seconds`, which holds the interpreter's own start; `over` is without it, as the
difference within a run. The first runs, which compile all modules into a temporary folder, are not
counted: a user pays for that once, at the first command after installing. With --modules it says
which imports the time of each command goes to, and measures nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from harness import Spread, in_turn, parser, write

ROOT = Path(__file__).resolve().parents[1]
SWEEP = str(ROOT / "studies" / "margin_sweep.py")
BARE = "python -c pass"
COMMANDS = {
    BARE: ["-c", "pass"],
    "import conspo_study": ["-c", "import conspo_study"],
    "import analysis": ["-c", "import analysis"],
    "conspo --help": ["-m", "conspo_study", "--help"],
    "conspo settings": ["-m", "conspo_study", "settings"],
    "studies/margin_sweep.py --help": [SWEEP, "--help"],
    "studies/margin_sweep.py --dry-run": [SWEEP, "--dry-run"],
}
TARGETS = {
    "import conspo_study": 0.15,
    "conspo --help": 1.0,
    "studies/margin_sweep.py --help": 1.0,
}
"""Seconds that a command should take at most."""
SHOWN_MODULES = 12


def environment(compiled: str) -> dict[str, str]:
    """Of the children: this checkout's packages, and bytecode as an installation has it."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": compiled, "HF_HUB_OFFLINE": "1"}


def seconds_of(arguments: Sequence[str], env: Mapping[str, str], _: int) -> float:
    """Wall seconds of a fresh interpreter with these arguments."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def slowest_imports(arguments: Sequence[str], env: Mapping[str, str]) -> list[tuple[float, str]]:
    """(milliseconds with all that it imports, module) of the slowest imports of a command."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    imports = []
    for line in done.stderr.splitlines():
        if line.startswith("import time:") and "cumulative" not in line:
            _, total, module = line.split("|")
            imports.append((int(total) / 1e3, module.strip()))
    return sorted(imports, reverse=True)[:SHOWN_MODULES]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=15)
    options.add_argument(
        "--modules", action="store_true", help="print the slowest imports of each command instead"
    )
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        env = environment(compiled)
        if arguments.modules:
            for name, command in COMMANDS.items():
                seconds_of(command, env, 0)  # compiles
                print(name)
                for milliseconds, module in slowest_imports(command, env):
                    print(f"  {milliseconds:7.1f} ms  {module}")
            return
        ways = {name: partial(seconds_of, command, env) for name, command in COMMANDS.items()}
        measured = in_turn(ways, arguments.runs)
    result = {}
    print(f"{'command':38s} {'seconds':20s} {'over the bare one':20s} target")
    for name, seconds in measured.items():
        over = [whole - bare for whole, bare in zip(seconds, measured[BARE], strict=True)]
        spread, without, target = Spread.of(seconds), Spread.of(over), TARGETS.get(name)
        result[name] = {"seconds": spread, "over": without, "target": target}
        aim = f"<= {target}" if target else ""
        print(f"{name:38s} {spread.text(digits=3):20s} {without.text(digits=3):20s} {aim}")
    write(arguments.json, {"commands": result})


if __name__ == "__main__":
    main()
