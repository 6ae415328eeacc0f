"""The engine of the tutorial on steps that remember."""

from __future__ import annotations

from engines.refund.engine import Letter, Refund

__all__ = ["Letter", "Refund"]
