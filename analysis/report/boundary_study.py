"""A study file that runs the boundary cells of a map again, on further seeds."""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.findings.regime_differences import MapFamily, boundary_cells
from analysis.findings.regimes import Cell, RegimeMap

SEEDS = 20
"""Seeds of a cell that runs again."""
_FILE = """\"\"\"Boundary cells of a map again, with their references, on {seeds} further seeds.

    conspo run FILE, then conspo map with its results beside those of the map: its values replace
    the earlier ones of its cells.
\"\"\"

from conspo_study import Anchor, RunConfig, Study, main

BASE = {base}
POINTS = {points}


def boundaries() -> Study:
    \"\"\"Each cell at the setting that was chosen for it; nothing is chosen here.\"\"\"
    return Study(
        name={name!r},
        plugins={plugins!r},
        base=RunConfig.model_validate(BASE),
        anchors=tuple(Anchor(label=label, params=params) for label, params in POINTS.items()),
        trials=len(POINTS),
        seeds=tuple(range({first}, {first} + {seeds})),
        metric={metric!r},
        direction={direction!r},
        early_stopping=None,
    )


if __name__ == "__main__":
    raise SystemExit(main(boundaries, __doc__))
"""


def boundary_study(found: RegimeMap, families: Sequence[MapFamily]) -> tuple[str, int]:
    """The text of the file, and the number of cells that it runs again, references not counted.

    All settings are the map's, those of its confirmation included. Raises ValueError where no cell
    is on a boundary, where a study runs a training function, and where the studies of the cells
    and of their references differ in settings, or call different settings by one label.
    """
    cells = boundary_cells(found, families)
    if not cells:
        raise ValueError("no cell is on a boundary: there is nothing to run again")
    again = _with_references(found, families, cells)
    bases = [_base(cell) for cell in again]
    if any(base != bases[0] for base in bases):
        raise ValueError("the studies have different settings: write a boundary study of each")
    study = again[0].study
    plugins = [str(p) for cell in again for p in cell.study.definition.get("plugins") or ()]
    used = {seed for one in found.studies for row in one.table.all_rows for seed in row.seeds}
    text = _FILE.format(
        seeds=SEEDS,
        first=max(used) + 1,
        base=pprint.pformat(bases[0], width=96, sort_dicts=False),
        points=pprint.pformat(_points(again), width=96, sort_dicts=False),
        name=f"{study.name.partition('_E')[0]}_boundaries"[:64],
        plugins=tuple(dict.fromkeys(plugins)),
        metric=found.metric,
        direction=study.direction,
    )
    return text, len(cells)


def _with_references(
    found: RegimeMap, families: Sequence[MapFamily], cells: Sequence[Cell]
) -> list[Cell]:
    """These cells and the references of their columns, as far as something was chosen for them."""
    wanted = {id(cell) for cell in cells}
    columns = {cell.steps for cell in cells}
    names = {family.reference for family in families}
    return [
        cell
        for cell in found.cells
        if cell.chosen is not None
        and (id(cell) in wanted or (cell.objective in names and cell.steps in columns))
    ]


def _points(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """The settings chosen for each, by label."""
    points: dict[str, dict[str, Any]] = {}
    for cell in cells:
        assert cell.chosen is not None
        label, params = cell.chosen.label or cell.name, dict(cell.chosen.params)
        if points.setdefault(label, params) != params:
            raise ValueError(
                f"two studies call different settings {label!r}: write a boundary study of each"
            )
    return points


def _base(cell: Cell) -> Mapping[str, Any]:
    """The settings that the cells of a study share, as its confirmation has them."""
    definition = cell.study.definition
    base, confirm = definition.get("base"), definition.get("confirm")
    if cell.study.function or not isinstance(base, dict):
        raise ValueError(f"{cell.study.folder} has no settings of the built-in training")
    shared = {stage: dict(fields) for stage, fields in base.items() if isinstance(fields, dict)}
    overrides = confirm.get("overrides") if isinstance(confirm, dict) else None
    for path, value in (overrides or {}).items():
        stage, _, setting = path.partition(".")
        shared.setdefault(stage, {})[setting] = value
    return shared
