"""Base of the configuration classes: frozen, strict about names, documented field by field."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Stage(BaseModel):
    """A frozen group of settings; rejects unknown names, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    LATER: ClassVar[tuple[str, ...]] = ()
    """Settings added after the first version of the results format. At their defaults they are
    neither written nor hashed, so that an older study keeps its configuration hash."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = dump(self)
        for name, default in _later_defaults(type(self)):
            if getattr(self, name) == default:
                data.pop(name, None)
        return data


@cache
def _later_defaults(stage: type[Stage]) -> tuple[tuple[str, Any], ...]:
    """The settings of `stage.LATER` and their defaults, which are only compared with."""
    fields = stage.model_fields
    return tuple(
        (name, fields[name].get_default(call_default_factory=True)) for name in stage.LATER
    )
