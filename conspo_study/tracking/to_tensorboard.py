"""Writes to TensorBoard: one folder of event files per run, with tensorboard's own writer."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import (
    DataType,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
    Status,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from conspo_study.files import make_folders
from conspo_study.records import TrialState
from conspo_study.tracking.runs import Ending, Point, Run


class TensorBoard:
    """A log directory for `tensorboard --logdir FOLDER`, with runs grouped by trial."""

    def __init__(self, folder: Path):
        self._folder = folder

    def holds(self, run: Run) -> bool:
        return any(self._of(run).glob("events.*"))

    def begin(self, run: Run) -> _Open:
        make_folders(self._of(run).parent, 3)
        if self._of(run).exists():
            shutil.rmtree(self._of(run))
        return _Open(self._of(run), run)

    def _of(self, run: Run) -> Path:
        return self._folder / run.group / f"seed{run.seed}"


class _Open:
    def __init__(self, folder: Path, run: Run):
        self.last = -1
        self._writer = EventFileWriter(str(folder))
        settings: dict[str, Any] = {**run.params, "seed": run.seed}
        # TensorBoard takes the columns from the first run it reads: each run names all of them.
        columns = {path: _setting(run, path) for path in run.searched} | settings
        experiment = Experiment(
            hparam_infos=[HParamInfo(name=name, type=_type(v)) for name, v in columns.items()],
            metric_infos=[
                MetricInfo(name=MetricName(tag=tag)) for tag in (run.metric, "train/reward")
            ],
        )
        start = SessionStartInfo(group_name=run.group, start_time_secs=time.time())
        for name, value in settings.items():
            _set(start, name, value)
        self._plugin(hparams.EXPERIMENT_TAG, experiment=experiment)
        self._plugin(hparams.SESSION_START_INFO_TAG, session_start_info=start)
        self._text("config", json.dumps(run.config, indent=1), code=True)
        self._text("trial", ", ".join([run.name, *run.tags]))
        self._writer.flush()

    def log(self, points: Sequence[Point]) -> None:
        for point in points:
            values = [
                Summary.Value(tag=tag, simple_value=value) for tag, value in point.metrics.items()
            ]
            self._add(values, point.step)
            self.last = point.step
        self._writer.flush()

    def close(self, ending: Ending | None) -> None:
        if ending is not None:
            failed = ending.state is TrialState.FAILED
            end = SessionEndInfo(
                status=Status.Value("STATUS_FAILURE" if failed else "STATUS_SUCCESS"),
                end_time_secs=time.time(),
            )
            self._plugin(hparams.SESSION_END_INFO_TAG, session_end_info=end)
            self._text("outcome", ending.sentence, code=True)
        self._writer.close()

    def _plugin(self, tag: str, **content: Any) -> None:
        data = HParamsPluginData(version=hparams.PLUGIN_DATA_VERSION, **content)
        metadata = SummaryMetadata(
            plugin_data=SummaryMetadata.PluginData(
                plugin_name=hparams.PLUGIN_NAME, content=data.SerializeToString()
            )
        )
        self._add([Summary.Value(tag=tag, metadata=metadata)], 0)

    def _text(self, tag: str, text: str, code: bool = False) -> None:
        # Indented by four blanks, Markdown shows text verbatim: a cause must not be markup.
        lines = [f"    {line}" for line in text.splitlines()] if code else [text]
        tensor = TensorProto(
            dtype=DT_STRING,
            string_val=["\n".join(lines).encode("utf-8", "backslashreplace")],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add([Summary.Value(tag=tag, metadata=metadata, tensor=tensor)], 0)

    def _add(self, values: Sequence[Any], step: int) -> None:
        summary = Summary(value=values)
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _setting(run: Run, path: str) -> Any:
    # A parameter of a training function has no dot.
    stage, _, name = (path if "." in path else f"params.{path}").partition(".")
    return run.config.get(stage, {}).get(name)


def _type(value: Any) -> Any:
    if isinstance(value, bool):
        return DataType.Value("DATA_TYPE_BOOL")
    if isinstance(value, int | float):
        return DataType.Value("DATA_TYPE_FLOAT64")
    return DataType.Value("DATA_TYPE_STRING")


def _set(start: Any, name: str, value: Any) -> None:
    if isinstance(value, bool):
        start.hparams[name].bool_value = value
    elif isinstance(value, int | float):
        start.hparams[name].number_value = value
    else:
        start.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
