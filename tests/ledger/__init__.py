"""A product's app for tests and measurements."""

from __future__ import annotations

PADDING = "x" * 240
"""Brings a state to the size that measurements of other systems use: about 300 bytes."""
