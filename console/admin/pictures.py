"""Draw numbers of the last hour as bars: plain shapes, to be put into an SVG by a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 60
STRIDE = 10
WIDTH = 8
LEAST = 2
"""Height of the smallest bar that stands for more than nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A bar with its place in the drawing and the words that a pointer over it shows."""

    x: int
    y: int
    height: int
    title: str
    width: int = WIDTH


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A drawing with its name and what it shows in words. `tone` is a class that gives the bars their colour."""

    title: str
    summary: str
    tone: str
    url: str
    bars: tuple[Bar, ...]
    width: int
    height: int = HEIGHT


def picture(
    values: Sequence[float], titles: Sequence[str], *, title: str, summary: str, tone: str, url: str
) -> Picture:
    """Return the values as bars, side by side, the largest as high as the drawing."""
    most = max(values, default=0)
    bars = [
        _bar(place, value / most, said)
        for place, (value, said) in enumerate(zip(values, titles, strict=True))
        if value > 0
    ]
    return Picture(title=title, summary=summary, tone=tone, url=url, bars=tuple(bars), width=len(values) * STRIDE)


def _bar(place: int, share: float, title: str) -> Bar:
    height = max(LEAST, round(share * HEIGHT))
    return Bar(x=place * STRIDE + 1, y=HEIGHT - height, height=height, title=title)
