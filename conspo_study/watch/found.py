"""The responses of trials that a question asks for, with their problems: read within bounds.

Files are read one by one, the newest steps first, and only rows that match are kept. Where a
question would read more than so many files or so much memory, the rest is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conspo_study.records import cut
from conspo_study.results.kept import read_rollout_table, stored_rollouts
from conspo_study.results.problems import read_problem_table
from conspo_study.results.rows import read_eval_table, stored_evaluations
from conspo_study.watch.question import Question

MOST_FILES = 512
"""Files that one question reads, of all its trials together."""
MOST_MEMORY = 256 << 20
"""Bytes of memory that their rows take, those included that do not match."""
LONGEST_SHOWN = 20_000
"""Characters of a text that is sent; a longer one is cut, with a note."""
_SEPARATOR = "\0"
_PLACE = "place"


class Found:
    """Rows of trials in `folders`, by id, that match `question` but for their verdict."""

    def __init__(self, folders: Mapping[str, Path], question: Question):
        """Read them. Raises ValueError naming an unreadable file."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self._problems: list[Any] = []
        self._left = MOST_MEMORY
        self.skipped = 0
        """Files that were not read."""
        self.verdicts: dict[str, dict[str, int]] = {}
        """How many rows have each verdict, by trial."""
        tables = []
        for trial, folder in folders.items():
            share = MOST_FILES // len(folders), MOST_MEMORY // len(folders)
            table = self._of_trial(folder, question, *share)
            counts = table["verdict"].value_counts().to_pylist()
            self.verdicts[trial] = {str(item["values"]): item["counts"] for item in counts}
            tables.append(table.append_column("trial", pa.array([trial] * len(table), pa.string())))
        table = pa.concat_tables(tables)
        if question.verdict:
            table = table.filter(pc.equal(table["verdict"], question.verdict))
        self.table = table
        """The rows with that verdict, as a `pyarrow.Table`: trials, seeds and steps in order."""

    def rows(self, table: Any) -> Iterator[dict[str, Any]]:
        """Rows of `table`, which has columns of `self.table`, as JSON data with `prompt`, `gold`
        and `response`; long texts are cut."""
        import pyarrow as pa

        if _PLACE in table.column_names:
            problems = pa.concat_tables(self._problems)
            for name in ("prompt", "gold"):
                table = table.append_column(name, problems[name].take(table[_PLACE]))
            table = table.drop_columns(_PLACE)
        for row in table.to_pylist():
            yield {
                name: cut(value, LONGEST_SHOWN) if isinstance(value, str) else value
                for name, value in row.items()
            }

    def _of_trial(self, folder: Path, question: Question, files: int, most: int) -> Any:
        import pyarrow as pa

        training = question.source == "training"
        stored = stored_rollouts(folder) if training else stored_evaluations(folder)
        chosen = [
            pair
            for pair in stored
            if question.seed in (None, pair[0]) and question.step in (None, pair[1])
        ]
        read = read_rollout_table if training else read_eval_table
        problems = None if training else read_problem_table(folder)
        found: dict[tuple[int, int], Any] = {}
        for pair in sorted(chosen, key=lambda pair: (pair[1], pair[0]), reverse=True):
            if len(found) == files or min(most, self._left) <= 0:
                break
            table = read(folder, [pair], most=MOST_MEMORY)
            most, self._left = most - table.nbytes, self._left - table.nbytes
            if problems is not None:
                table = table.append_column(_PLACE, _places(table, problems))
            found[pair] = question.matching(table, problems)
        self.skipped += len(chosen) - len(found)
        # A trial without files has the columns, too.
        tables = [found[pair] for pair in sorted(found)] or [read(folder, [])]
        table = pa.concat_tables(tables)
        if problems is not None:
            table = self._moved(table, problems)
        return table

    def _moved(self, table: Any, problems: Any) -> Any:
        """The rows with their places among the problems of all trials."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if _PLACE not in table.column_names:
            table = table.append_column(_PLACE, pa.array([], pa.int64()))
        before = sum(map(len, self._problems))
        self._problems.append(problems)
        column = pc.add(table[_PLACE], before)
        return table.set_column(table.column_names.index(_PLACE), _PLACE, column)


def _places(table: Any, problems: Any) -> Any:
    """Place of each row's problem among `problems`; null for an unknown one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def keys(rows: Any) -> Any:
        return pc.binary_join_element_wise(rows["problem_set"], rows["problem_id"], _SEPARATOR)

    return pc.index_in(keys(table), value_set=keys(problems).combine_chunks()).cast(pa.int64())
