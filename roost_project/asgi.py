"""Serve the demo product: pages over HTTP, live updates over WebSocket."""

from __future__ import annotations

import gc
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import get_resolver

from console.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "roost_project.settings")

# Larger than a form of a page may be (DATA_UPLOAD_MAX_MEMORY_SIZE). The API and webhooks have bounds of their own.
PAGE_BYTES = 4 * 1024 * 1024

# Loads the apps; what follows imports models.
http_application = get_asgi_application(most_bytes=PAGE_BYTES)

from console.live.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)

# What a page is made of is loaded before the first one is asked for. It stays, so nobody has to wait while all of it is
# looked through for garbage: a tenth of a second, again and again.
get_resolver().url_patterns  # noqa: B018 - reading them is what loads them
gc.collect()
gc.freeze()
