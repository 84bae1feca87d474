"""Base of the configuration classes: frozen, strict about names, documented field by field."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from conspo_study.config.errors import ConfigError

Init = TypeVar("Init", bound=Callable[..., None])


def only_for_calls(init: Init) -> Init:
    """Decorator of an `__init__` that pydantic's validation of nested data need not go through: it
    takes a class without this mark apart and calls it, which hides where in the data a problem is.
    """
    init.__pydantic_base_init__ = True  # type: ignore[attr-defined]
    return init


class Stage(BaseModel):
    """A frozen group of settings; rejects unknown names, NaN and infinity.

    Called with unusable settings it raises ConfigError; `model_validate` raises pydantic's
    ValidationError.
    """

    if not TYPE_CHECKING:  # for which a class has the signature of its fields

        @only_for_calls
        def __init__(self, **settings):
            try:
                super().__init__(**settings)
                return
            except ValidationError as error:
                from conspo_study.config import described

                lines = [line for _, line in described(error, type(self), settings)]
            raise ConfigError(lines, type(self).__name__)

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
