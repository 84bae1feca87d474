"""Setting and seed of a run from the name of its file, and the files of a folder.

`tau1-s0.json`, `tau1_seed0.jsonl` and `tau1-0.csv` are setting `tau1`, seed 0; so are
`tau1/s0.json`, `tau1/seed0/log.jsonl` and `tau1-s0/checkpoint-400/trainer_state.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from analysis.load.runs.rows import RunsUnreadable

ENDINGS = {".csv", ".tsv", ".json", ".jsonl"}
_SEED = r"(?:seed|s)?[-_=]?(?P<seed>\d{1,18})"
_BOTH = re.compile(rf"(?P<setting>.+?)[-_ ]{_SEED}", re.IGNORECASE)
_SEED_ALONE = re.compile(_SEED, re.IGNORECASE)
_ANY_SEED = re.compile(rf"(?:.*?[-_ ])?{_SEED}", re.IGNORECASE)
_SAYS_NOTHING = re.compile(
    r"trainer_state|checkpoint-\d+|log(_?history)?|metrics|history|wandb-history|progress|train",
    re.IGNORECASE,
)
"""Names that trainers give to the file or folder of any run."""
_FORMS = "name the file SETTING-sSEED, such as tau1-s0.json, or SETTING/sSEED.json"
MOST_FILES = 2000


def named(path: Path, inside: Path | None = None) -> tuple[str, int]:
    """Setting and seed of the run that a file holds.

    inside: the folder that was named for this setting alone; its name is then the setting. Raises
    RunsUnreadable where the name has no seed.
    """
    parts = _telling(path)
    last = parts[-1] if parts else ""
    if inside is not None:
        found = _ANY_SEED.fullmatch(last)
        if found is None:
            raise RunsUnreadable(path, f"its name has no seed: {_FORMS}")
        return inside.absolute().name, int(found["seed"])
    if (alone := _SEED_ALONE.fullmatch(last)) and len(parts) > 1:
        return parts[-2], int(alone["seed"])
    if both := _BOTH.fullmatch(last):
        return both["setting"], int(both["seed"])
    raise RunsUnreadable(path, f"its name has no setting and seed: {_FORMS}")


def split_name(name: str) -> tuple[str, int] | None:
    """Setting and seed in the name of a run, such as W&B's; None where it has none."""
    both = _BOTH.fullmatch(name.strip())
    return (both["setting"], int(both["seed"])) if both else None


def files_in(folder: Path) -> list[Path]:
    """The files of runs in a folder and the folders in it; of the checkpoints of a run, the last.

    Links are not followed. Raises RunsUnreadable for a folder without any, or with very many.
    """
    found: list[Path] = []
    for path in _walk(folder, 4):
        found.append(path)
        if len(found) > MOST_FILES:
            raise RunsUnreadable(folder, f"it holds more than {MOST_FILES} files of runs")
    last: dict[Path, Path] = {}
    for path in found:
        if re.fullmatch(r"checkpoint-\d+", path.parent.name):
            run = path.parent.parent
            if run not in last or _number(path.parent) > _number(last[run].parent):
                last[run] = path
    kept = [p for p in found if p.parent.parent not in last or p in last.values()]
    if not kept:
        raise RunsUnreadable(folder, f"it holds no file of a run ({', '.join(sorted(ENDINGS))})")
    return kept


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=_order):
        if path.is_symlink() or path.name.startswith("."):
            continue
        if path.is_dir() and depth > 1:
            yield from _walk(path, depth - 1)
        elif path.is_file() and path.suffix.lower() in ENDINGS:
            # Beside the state of a trainer lie files about its tokenizer and model.
            if path.parent.name.startswith("checkpoint-") and path.stem != "trainer_state":
                continue
            yield path


def _order(path: Path) -> list[tuple[int, str]]:
    """Numbers in names count as numbers: s2 before s10."""
    return [(int(part[:18]), "") if part.isdigit() else (-1, part) for part in _cut(path.name)]


def _cut(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2][:18])


def _telling(path: Path) -> list[str]:
    """The parts of the path that may name setting and seed, the last two at most."""
    parts = [*path.absolute().parent.parts[1:], path.stem]
    telling = [part for part in parts if not _SAYS_NOTHING.fullmatch(part)]
    return telling[-2:]
