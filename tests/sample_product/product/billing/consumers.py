"""The shop's sockets, and the channel of its workers."""

from channels.consumer import SyncConsumer
from channels.generic.websocket import JsonWebsocketConsumer


class Orders(JsonWebsocketConsumer):
    """Tells a browser that it is heard."""

    def receive_json(self, content):
        """Say it back."""
        self.send_json({"heard": content})


class Receipts(SyncConsumer):
    """Prints receipts."""

    def receipt_print(self, message):
        """Print one."""
