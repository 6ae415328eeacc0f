"""Route WebSocket connections to Roost's consumers."""

from __future__ import annotations

from typing import Any

websocket_urlpatterns: list[Any] = []
