"""The kinds of values in requests: JSON's own, nothing taken for something else."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from runtime.operations.fields import MAX_SECONDS


def _must_be_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a time is a text, such as 2030-01-31T12:00:00Z")
    return value


def _true_or_false(value: Any) -> Any:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("write true or false")


Switch = Annotated[bool, BeforeValidator(_true_or_false)]
"""A flag in an address."""
Whole = Annotated[int, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=MAX_SECONDS)]
Flag = Annotated[bool, Field(strict=True)]
Moment = Annotated[AwareDatetime, BeforeValidator(_must_be_text)]


def example(**values: Any) -> ConfigDict:
    """Have a body told with an example of it."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Asked(Schema):
    """A body: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")

    @property
    def given(self) -> dict[str, Any]:
        """What was said; what was left out is not there."""
        return {name: getattr(self, name) for name in self.model_fields_set}
