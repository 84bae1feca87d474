"""Options of a command line: the types that they share, and those of a study.

A help text is one line of source: tyro keeps the line breaks of longer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from conspo_study.commands.typed_paths import TypedPath
from conspo_study.seeds import parse_seeds

T = TypeVar("T")

_QUIET = tyro.conf.arg(help_behavior_hint="")
"""No `(default: None)` or `(default: False)` after the help text."""

Flag = Annotated[bool, _QUIET]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Amount = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint="")]
OptionalPath = Annotated[TypedPath | None, _QUIET]


def split(words: Iterable[str]) -> tuple[str, ...]:
    """`a,b c` as three words."""
    return tuple(part.strip() for word in words for part in word.split(",") if part.strip())


def joined(lists: Iterable[Sequence[T]]) -> tuple[T, ...]:
    """The items of an option that was given several times, in order."""
    return tuple(item for items in lists for item in items)


def _several(metavar: str, read: Callable[[list[str]], tuple[T, ...]]) -> Any:
    """How an option of several values is read and shown."""
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda values: [str(value) for value in values],
    )


_NAMES = _several("NAME[,NAME...]", split)
_PARTS = _several("PART[,PART...]", split)
_SEEDS = _several("N[,N...]", parse_seeds)
_ASSIGNMENTS = _several("SETTING=VALUE", tuple)
"""Not split at commas: a value may be a list."""

Names = Annotated[tuple[Annotated[tuple[str, ...], _NAMES], ...], tyro.conf.UseAppendAction, _QUIET]
"""`--sets a,b`, `--sets a b` and `--sets a --sets b` are the same; see `joined`."""
Parts = Annotated[tuple[Annotated[tuple[str, ...], _PARTS], ...], tyro.conf.UseAppendAction, _QUIET]
"""As names, but each occurrence counts for itself."""
Seeds = Annotated[tuple[Annotated[tuple[int, ...], _SEEDS], ...], tyro.conf.UseAppendAction, _QUIET]
Assignments = Annotated[
    tuple[Annotated[tuple[str, ...], _ASSIGNMENTS], ...], tyro.conf.UseAppendAction, _QUIET
]


@dataclass(frozen=True, kw_only=True)
class StudyChoice:
    """Options that say which study is meant."""

    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "embedded"
    """Starting configuration: embedded, quick, smollm2, lab/... (one GPU) or paper/... (eight)."""
    set: Assignments = ()
    """Change settings; `conspo settings` lists them. May be repeated."""
    config: OptionalPath = None
    """File of settings, .toml, .yaml or .json; --set goes before it."""
    data_dir: OptionalPath = None
    """Folder with files of named problem sets; other sets are fetched from the hub."""
    trials: Count = None
    """Budget in trials, anchors included."""
    seeds: Seeds = ()
    """Seeds of every trial: 0,1,2 or 0 1 2."""
    only: Parts = ()
    """Only anchors with this part of a label: E16, or lr x1. Repeated: with one of each."""
    name: Name = None
    """Name of the study and of its results directory."""
    results: TypedPath = Path("results")
    """Where results directories are made."""
    sampler: Name = None
    """How settings to try are chosen: tpe, gp, qmc, random or grid."""
    gpu_memory: Annotated[float | None, tyro.conf.arg(metavar="GIB", help_behavior_hint="")] = None
    """GiB of the smallest GPU, by default of those here: what fits, and lab/... presets, follow."""
    confirm: Flag = True
    """Do not run the winner and the anchors again on fresh seeds and problems."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions(StudyChoice):
    """Options of a study script, and of `conspo run`."""

    dry_run: Flag = False
    """Print the plan, and run nothing."""
    all: Flag = False
    """With --dry-run: print every setting, not only what differs from the preset."""
    probe: Count = None
    """With --dry-run: first run N steps of one seed here, and plan with the time they take."""
    resume: Flag = False
    """Continue this study where it was interrupted."""
    takeover: Flag = False
    """With --resume: continue although a driver elsewhere, now silent, never released it."""
    allow_changes: Flag = False
    """With --resume: continue although settings, data or code have changed since it began."""
    retry_failed: Flag = False
    """With --resume: also run trials again that the machine made fail."""
    wait_for_nodes: Count = None
    """On a cluster: wait until this many nodes have room for a worker, and ask for them."""
    track: Names = ()
    """Also send the study to tensorboard, wandb or trackio."""
    quiet: Flag = False
    """Print only the final table and paths."""
