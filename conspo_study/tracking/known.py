"""The supported trackers, and checks that this environment has them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from conspo_study.extras import lack
from conspo_study.results.names import TRACKING
from conspo_study.tracking.runs import Tracker

TRACKERS = ("tensorboard", "wandb", "trackio")
"""Also the names of the packages they need, and of the extras that install them."""
_REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def parse_trackers(text: str) -> tuple[str, ...]:
    """The trackers in a comma-separated list, without repetitions.

    Raises ValueError listing all unknown names and missing packages.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    check_trackers(names)
    return names


def check_trackers(names: Sequence[str]) -> None:
    """Raises ValueError unless all trackers are known and installed."""
    problems = [problem for name in names if (problem := _problem(name))]
    if problems:
        raise ValueError("\n".join(problems))


def how_to_look(name: str, folder: Path, study: str) -> str:
    """The command, or the place, that shows the study in `folder` in the tracker."""
    place = folder / TRACKING
    if name == "tensorboard":
        return f"tensorboard --logdir {shlex.quote(str(place / name))}"
    if name == "trackio":
        return f"trackio show --project {study}"
    if os.environ.get("WANDB_MODE") == "offline":
        runs = Path(os.environ.get("WANDB_DIR") or place) / "wandb"
        return f"wandb sync {shlex.quote(str(runs))}/offline-run-*"
    return f"project {os.environ.get('WANDB_PROJECT') or study} at your W&B server"


def make_tracker(name: str, folder: Path) -> Tracker:
    """The tracker `name` for the study in `folder`; imports its package."""
    if name == "tensorboard":
        from conspo_study.tracking.to_tensorboard import TensorBoard

        return TensorBoard(folder / TRACKING / "tensorboard")
    if name == "wandb":
        from conspo_study.tracking.to_wandb import WandB

        return WandB(Path(os.environ.get("WANDB_DIR") or folder / TRACKING))
    from conspo_study.tracking.to_trackio import Trackio

    return Trackio()


def _problem(name: str) -> str:
    if name not in TRACKERS:
        return f"unknown tracker {name!r}; known: {', '.join(TRACKERS)}"
    if (problem := lack(f"tracking to {name}", name)) is not None:
        return problem
    if name == "trackio" and (remote := next((v for v in _REMOTE if os.environ.get(v)), None)):
        return (
            f"tracking to trackio writes its local database, but {remote} is set: unset it, and "
            "publish the project afterwards with trackio.sync"
        )
    return ""
