"""Which of an item's snapshots are kept beside its latest: pure.

    full            every one, which is the default
    interval(20)    the first and every twentieth
    compact         none but the latest

What a step replaces goes in the transaction that commits the step, so that the latest state is always there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput

_POLICY = re.compile(r"full|compact|interval\(\s*([1-9][0-9]{0,8})\s*\)")


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keep each version that `every` divides; with 0 none."""

    every: int

    def drops(self, version: int) -> bool:
        """Say whether the snapshot of `version` goes once there is a later one."""
        return self.every == 0 or version % self.every != 0


FULL = Keeping(1)
COMPACT = Keeping(0)


@lru_cache(maxsize=256)
def parse(text: str) -> Keeping:
    """Return the policy that a text names. Raises `InvalidInput`."""
    found = _POLICY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidInput(f"{text!r} is no policy for snapshots. Use full, interval(20) (any number) or compact.")
    if found[1]:
        return Keeping(int(found[1]))
    return FULL if text == "full" else COMPACT


def of(engine_id: str, own: str) -> Keeping:
    """Return the policy of an engine: what `ROOST_SNAPSHOTS` says of it, or its own. Raises `InvalidInput`."""
    return parse(roost.SNAPSHOTS.get(engine_id, own))


def in_words(versions: list[int]) -> str:
    """Return versions, sorted, as spans: "0, 20, 40-43"."""
    spans: list[list[int]] = []
    for version in versions:
        if spans and version == spans[-1][1] + 1:
            spans[-1][1] = version
        else:
            spans.append([version, version])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans) or "none"
