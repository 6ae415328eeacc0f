"""Route Roost's own pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from console.api.api import SPACE, patterns
from console.hooks import WebhookView

app_name = "roost"

urlpatterns: list[URLPattern | URLResolver] = [
    path("hooks/<str:namespace>/<str:name>", WebhookView.as_view(), name="webhook"),
    path("api/v1/", include((patterns(), SPACE))),
]
