"""An engine that watches whether a page can be reached."""

from __future__ import annotations

from engines.watchlist.engine import Watchlist

__all__ = ["Watchlist"]
