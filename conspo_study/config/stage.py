"""The base of every configuration class: frozen, strict about names, documented by field."""

from pydantic import BaseModel, ConfigDict


class Stage(BaseModel):
    """A frozen group of settings; unknown names, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
