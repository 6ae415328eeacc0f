"""What can happen at a point."""

from __future__ import annotations

FAULTS = {
    "raise before": "an exception before the write",
    "raise after": "an exception after it",
    "kill before": "SIGKILL of the process before it",
    "kill after": "SIGKILL of the process after it",
    "drop": "the connection is lost after COMMIT was sent",
    "requeue": "an operator takes the item back before it",
    "expire": "the lease runs out, and another worker takes the item back, before it",
}
NOT_REACHED = "the point was not reached"
"""Stands for the trouble of a run that ended before it came to its point: it says nothing."""
