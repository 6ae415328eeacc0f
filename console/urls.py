"""Route Roost's own pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from console.hooks import WebhookView

app_name = "roost"

urlpatterns: list[URLPattern | URLResolver] = [
    path("hooks/<str:namespace>/<str:name>", WebhookView.as_view(), name="webhook"),
]
