"""The configuration of a run whose training is a function of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, field_serializer, field_validator

from conspo_study.config.stage import Stage
from conspo_study.config.values import CodePath, PlainValue, kind_of
from conspo_study.plugins import is_import_path

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class FunctionTraining(Stage):
    """Length of a run, and its processes."""

    steps: int = Field(ge=1)
    """The step that the function reports last."""
    workers: int = Field(1, ge=1)
    """Data-parallel processes of a call, each with the resources of a worker."""
    cpus_per_worker: int = Field(1, ge=1)
    """CPU cores reserved for each worker; also its number of threads."""
    gpus_per_worker: float = Field(0, ge=0)
    """GPUs reserved for each worker: a whole number, or a share of one."""

    @field_validator("gpus_per_worker")
    @classmethod
    def _more_than_one_gpu_is_whole(cls, given: float) -> float:
        if given > 1 and given != int(given):
            raise ValueError(f"{given:g} GPUs are neither a whole number nor a share of one")
        return int(given) if given == int(given) else given

    @field_serializer("gpus_per_worker")
    def _gpus_as_they_are(self, given: float) -> Any:
        return given


class FunctionConfig(Stage):
    """A training function and its parameters; with a seed they determine a call.

    It stands where a `RunConfig` stands in a study of the built-in training. Its settings are the
    parameters, by names without a dot, and those of `train`, such as `train.steps`.
    """

    function: CodePath
    """Import path of the function, `my_package.my_module:train`."""
    params: dict[str, PlainValue] = Field(default_factory=dict)
    """Parameters that the function is called with."""
    train: FunctionTraining

    @field_validator("function")
    @classmethod
    def _it_is_an_import_path(cls, given: str) -> str:
        if not is_import_path(given):
            raise ValueError("give a function, or its import path: my_package.my_module:train")
        return given

    @field_validator("params")
    @classmethod
    def _params_are_plain(cls, given: dict[str, Any]) -> dict[str, Any]:
        if problems := [*parameter_problems(given)]:
            raise ValueError("; ".join(problems))
        return given

    @property
    def cpus_per_worker(self) -> int:
        """CPU cores of a worker."""
        return self.train.cpus_per_worker

    @property
    def gpus_per_worker(self) -> float:
        """GPUs of a worker."""
        return self.train.gpus_per_worker

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as JSON values: parameters by name, the others by dotted path."""
        dumped: dict[str, dict[str, Any]] = self.model_dump(mode="json", exclude={"function"})
        return dumped["params"] | {f"train.{name}": v for name, v in dumped["train"].items()}

    def changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with some settings replaced, unchecked.

        Raises ValueError for a dotted name that is no setting.
        """
        data = self.model_dump(mode="json")
        for path, value in settings.items():
            stage, dot, field = path.partition(".")
            if not dot:
                data["params"][path] = value
            elif stage == "train" and field in FunctionTraining.model_fields:
                data["train"][field] = value
            else:
                raise ValueError(
                    f"{path}: unknown setting; a parameter of a training function has a name "
                    f"without a dot, and further settings are {', '.join(self._others())}"
                )
        return data

    @staticmethod
    def _others() -> list[str]:
        return [f"train.{name}" for name in FunctionTraining.model_fields]


def parameter_problems(params: Mapping[str, Any]) -> Iterator[str]:
    """Reasons to refuse parameters of a training function."""
    for name, value in params.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (
                f"{name!r} is no name of a parameter: write it like a variable, with letters, "
                "digits and _"
            )
        elif kind_of(value) is None:
            yield (
                f"{name}: {value!r} is not a plain value: give a finite number, text, True, False, "
                "None, a list or a mapping of these"
            )
