"""Route Roost's own pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from console.api.api import SPACE, patterns
from console.hooks import WebhookView
from console.monitoring import LiveView, MetricsView, ReadyView

app_name = "roost"

urlpatterns: list[URLPattern | URLResolver] = [
    path("hooks/<str:namespace>/<str:name>", WebhookView.as_view(), name="webhook"),
    path("api/v1/", include((patterns(), SPACE))),
    path("health/live", LiveView.as_view(), name="live"),
    path("health/ready", ReadyView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]
