"""Django signals for products that want to hear of work items.

Sent after the commit. A receiver that fails is logged and changes nothing.
"""

from __future__ import annotations

from django.dispatch import Signal

items_enqueued = Signal()
"""Arguments: ids (list of UUID), using."""

item_moved = Signal()
"""Arguments: item (WorkItem after the move), verb, using."""
