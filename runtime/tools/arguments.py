"""What a tool takes: read from its type hints, a pydantic model or a JSON schema, and checked before it is called."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from runtime import schemas
from runtime.exceptions import InvalidInput

GIVEN = "idempotency_key"
"""The parameter that the journal gives, and no caller."""
MOST_PROBLEMS = 5


class Arguments(ABC):
    """What a tool takes."""

    schema: Mapping[str, Any]
    """As JSON schema, for models and people."""

    @abstractmethod
    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments to call the tool with. Raises `InvalidInput` that names what is wrong."""

    def as_taken(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments that were checked as the tool takes them, with what it takes where nothing was given."""
        return dict(given)


class ByModel(Arguments):
    """Arguments that pydantic checks and converts."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        self.schema = model.model_json_schema()

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the model's fields, as the types they are declared with."""
        try:
            made = self._model.model_validate(dict(given))
        except ValidationError as error:
            raise InvalidInput(_told(error), field="arguments") from error
        return {name: getattr(made, name) for name in type(made).model_fields if name in made.model_fields_set}

    def as_taken(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all of the model's fields, converted: "yes" is True for a `bool`, and a model in it is a dict."""
        return self._model.model_validate(dict(given)).model_dump(warnings=False)


class BySchema(Arguments):
    """Arguments that a JSON schema describes; they are handed on as they are."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        schemas.check_schema(schema, "schema")
        self.schema = schema

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments, if the schema allows them."""
        schemas.check_value(dict(given), self.schema, "arguments")
        return dict(given)


def arguments_of(function: Callable[..., Any], schema: Any = None) -> Arguments:
    """Return what a tool takes: what `schema` says, a pydantic model or a JSON schema, or else its type hints."""
    if schema is None:
        return ByModel(model_of(function))
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return ByModel(schema)
    if isinstance(schema, Mapping):
        return BySchema(schema)
    raise InvalidInput(
        f"The schema is a {type(schema).__name__}; give a pydantic model, a JSON schema, or none.", field="schema"
    )


def model_of(function: Callable[..., Any]) -> type[BaseModel]:
    """Return a pydantic model of a function's parameters. Raises `InvalidInput` for those that have no one name."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == GIVEN:
            continue
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise InvalidInput(
                f"The tool {function.__name__} takes {parameter}: arguments of a tool have names of their own.",
                field="function",
            )
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    made: type[BaseModel] = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return made


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in problems]
    more = f"; and {len(told) - MOST_PROBLEMS} more" if len(told) > MOST_PROBLEMS else ""
    return "; ".join(told[:MOST_PROBLEMS]) + more
