"""Route Roost's own pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

app_name = "roost"

urlpatterns: list[URLPattern | URLResolver] = []
