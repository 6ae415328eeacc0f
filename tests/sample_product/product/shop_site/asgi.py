"""The shop over ASGI: pages, sockets, and the channels that its workers listen on."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_site.settings")

http = get_asgi_application()

from billing.consumers import Orders, Receipts
from django.urls import path

sockets = [path("ws/orders/", Orders.as_asgi())]

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AuthMiddlewareStack(URLRouter(sockets)),
        "channel": ChannelNameRouter({"receipts": Receipts.as_asgi()}),
    }
)
