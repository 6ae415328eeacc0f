"""What a check of conformance found, by level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["kept", "broken", "untold"]


class Broken(AssertionError):
    """A promise is not kept; the message says how."""


class Untold(Exception):
    """A promise cannot be looked at here; the message says why."""


def require(condition: object, text: str) -> None:
    """Raise `Broken` with this text unless the condition holds."""
    if not condition:
        raise Broken(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One promise: kept, broken, or untold where it could not be looked at. `detail` says how or why."""

    level: str
    promise: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was found about `subject`. It conforms when nothing is broken; what is untold breaks nothing."""

    subject: str
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken

    @property
    def broken(self) -> list[Finding]:
        """What is broken."""
        return [one for one in self.findings if one.verdict == "broken"]

    @property
    def levels(self) -> dict[str, Verdict]:
        """Each level in its order: broken if one promise is, untold if none could be looked at, else kept."""
        return {level: self._level(level) for level in dict.fromkeys(one.level for one in self.findings)}

    def _level(self, level: str) -> Verdict:
        verdicts = {one.verdict for one in self.findings if one.level == level}
        return "broken" if "broken" in verdicts else "kept" if "kept" in verdicts else "untold"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        findings = [
            {"level": one.level, "promise": one.promise, "verdict": one.verdict, "detail": one.detail}
            for one in self.findings
        ]
        return {"subject": self.subject, "ok": self.ok, "levels": self.levels, "findings": findings}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.subject}: {'conforms' if self.ok else 'does not conform'}"
        for level, verdict in self.levels.items():
            yield f"{level}: {verdict}"
            for one in self.findings:
                if one.level == level:
                    yield f"  {one.verdict:7} {one.promise}" + (f": {one.detail}" if one.detail else "")
