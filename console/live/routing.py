"""Route WebSocket connections to Roost's consumers."""

from __future__ import annotations

from typing import Any

from django.urls import path

from console.live.consumer import LiveConsumer

websocket_urlpatterns: list[Any] = [path("roost/live/", LiveConsumer.as_asgi())]
