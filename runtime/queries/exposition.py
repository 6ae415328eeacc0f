"""Write numbers in Prometheus' text format (version 0.0.4). Pure; no library is needed for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """Numbers of one name, by their labels. All are gauges: what is the case now, or was in the last minutes."""

    name: str
    about: str
    values: Mapping[Labels, float]


def metric(name: str, about: str, value: float) -> Metric:
    """Return a metric with one number."""
    return Metric(name=name, about=about, values={(): value})


def render(metrics: Iterable[Metric]) -> str:
    """Return the text. A metric without numbers is named all the same, so that it is known to exist."""
    lines = []
    for one in metrics:
        lines.append(f"# HELP {one.name} {_escaped(one.about)}")
        lines.append(f"# TYPE {one.name} gauge")
        lines += [f"{one.name}{_labels(labels)} {_number(value)}" for labels, value in sorted(one.values.items())]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    told = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{told}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(float(value))
