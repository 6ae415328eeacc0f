"""Hold a file of deploy/ to a schema of ours, after the specification of the program that reads it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).resolve().parent


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what holds a document to the schema of this name."""
    schema: dict[str, Any] = json.loads((HERE / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(name: str, document: Any) -> list[str]:
    """Return what is wrong in a document, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]
