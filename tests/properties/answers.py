"""Know, from the histories alone, which answers a step must be handed, and that each is used once.

What people, senders and clocks did is told by events, what steps got by the claims. The waits, which the store could
get wrong, are looked at only to see that they say the same.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from runtime.choices import EventKind, WaitKind, WaitState
from runtime.models import Event, Signal, Wait
from runtime.store.values import Claimed
from runtime.store.waits import ANSWERED

ENDED_BY_A_WAIT = frozenset({"rejected", "child_failed", "wait_expired"})
BAD_ENDS = frozenset({"failed", "cancelled"})

Place = tuple[uuid.UUID, int]
"""An item and the version that asked."""


class Answers:
    """What has been answered, handed out and used."""

    def __init__(self) -> None:
        self._read = 0
        self._answers: defaultdict[Place, dict[str, Any]] = defaultdict(dict)
        self._sent: dict[str, Any] = {}
        self._used: Counter[Any] = Counter()

    def sent(self, signal: uuid.UUID, payload: Any) -> None:
        """Know the payload of a signal, which no other signal has."""
        self._sent[str(signal)] = payload

    def claimed(self, claimed: Claimed) -> None:
        """Make sure that a step is handed every answer that there is, and nothing else."""
        told, expected = handed(claimed), self._expected((claimed.id, claimed.version))
        assert told.keys() == expected.keys(), f"handed {sorted(told)}, but what was answered is {sorted(expected)}"
        for key, value in expected.items():
            assert value is ... or told[key] == value

    def kept(self, item: uuid.UUID, version: int) -> None:
        """Make sure that no answer has got lost before a step was handed it."""
        there = Wait.objects.filter(ANSWERED, work_item=item, base_version=version).values_list("key", flat=True)
        expected = self._expected((item, version))
        assert set(there) == expected.keys(), f"{sorted(there)} are answered, but were {sorted(expected)}"

    def used(self, claimed: Claimed) -> None:
        """Make sure, after a commit of a version, that it consumed what its step was handed, for the first time."""
        told = handed(claimed)
        waits = Wait.objects.filter(work_item=claimed.id, base_version=claimed.version)
        consumed = dict(waits.filter(state=WaitState.CONSUMED).values_list("key", "consumed_version"))
        assert consumed == dict.fromkeys(told, claimed.version + 1)
        for key, value in told.items():
            signal = key.startswith(WaitKind.SIGNAL)
            self._used["signal", value if signal else (claimed.id, claimed.version, key)] += 1
            if signal:
                assert Signal.objects.get(payload=value).consumed_version == claimed.version + 1
        assert not [one for one, times in self._used.items() if times > 1], "an answer was used twice"

    def _expected(self, place: Place) -> dict[str, Any]:
        """Return the answers that the histories tell of since the item came to this version; `...` is any value."""
        for event in Event.objects.filter(pk__gt=self._read).order_by("pk"):
            self._read = event.pk
            self._follow(event)
        return self._answers[place]

    def _follow(self, event: Event) -> None:
        place = event.work_item_id, event.version
        data = event.data if isinstance(event.data, dict) else {}
        if event.kind == EventKind.FAILED and data.get("code") in ENDED_BY_A_WAIT:
            # The item asks for them anew when it is brought back.
            for key in [key for key, value in self._answers[place].items() if _fails(place, key, value)]:
                del self._answers[place][key]
        elif data.get("key") is not None and not data.get("unused"):
            self._answers[place] |= self._answer(event.kind, data)

    def _answer(self, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        key = data["key"]
        if kind == EventKind.APPROVED:
            return {key: True} if data.get("votes") == data.get("of") else {}
        if kind == EventKind.REJECTED:
            return {key: False}
        if kind == EventKind.SIGNALLED:
            return {key: self._sent[data["signal"]]}
        return {key: ...} if kind == EventKind.ANSWERED or (kind == EventKind.EXPIRED and data["default"]) else {}


def _fails(place: Place, key: str, value: Any) -> bool:
    """Say whether an answer that the item still needs fails it."""
    wait = Wait.objects.get(work_item=place[0], base_version=place[1], key=key)
    if wait.kind == WaitKind.APPROVAL:
        return bool(wait.needed) and wait.on_reject == "fail" and value is False
    if wait.kind != WaitKind.CHILDREN or wait.data["on_failure"] != "fail":
        return False
    return bool(wait.needed) and any(child["state"] in BAD_ENDS for child in wait.resolution)


def handed(claimed: Claimed) -> dict[str, Any]:
    """Return the answers that a claimed item's step is handed, by key."""
    found = json.loads(claimed.answers)["answers"] if claimed.answers is not None else []
    return {answer["key"]: answer["value"] for answer in found}
