"""django-q2's ORM broker: no-op tasks with 300 bytes of arguments, enqueued before; two workers, tuned.

Tuned means: persistent connections, bulk 50, poll 0.05 s, no pruning of successes (SAVE_LIMIT 0), which otherwise
takes most of its monitor's time. A task counts when its success is stored.
"""

from __future__ import annotations

import os
import sys
import time
from urllib.parse import parse_qs, unquote, urlsplit

import work


def configure(url: str) -> None:
    """Set Django up for this database."""
    import django
    from django.conf import settings

    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": unquote(parts.username or ""),
                "PASSWORD": unquote(parts.password or ""),
                "HOST": host,
                "PORT": parts.port or "",
                "CONN_MAX_AGE": 60,
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_q"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        SECRET_KEY="only for this measurement",
        USE_TZ=True,
        Q_CLUSTER={
            "name": "bench",
            "workers": work.PROCESSES,
            "orm": "default",
            "bulk": 50,
            "queue_limit": 200,
            "poll": 0.05,
            "save_limit": 0,
            "timeout": 60,
            "retry": 600,
            "catch_up": False,
            "scheduler": False,
        },
    )
    django.setup()


def item(state: dict[str, object]) -> None:
    """Do nothing with the state."""
    assert state["n"] == 0


def main(url: str, items: int) -> None:
    """Enqueue, run a cluster, and print successes a second."""
    configure(url)
    from django.core.management import call_command
    from django.db import connections
    from django_q.cluster import Cluster
    from django_q.models import OrmQ, Success
    from django_q.tasks import async_task

    call_command("migrate", verbosity=0)
    for _ in range(items):
        async_task("with_django_q2.item", work.state(0))
    connections.close_all()
    cluster = Cluster()
    cluster.start()
    while not Success.objects.exists():
        time.sleep(0.01)
    start, before = time.time(), Success.objects.count()
    while Success.objects.count() < items:
        time.sleep(0.1)
        if time.time() - start > 250:
            raise SystemExit(f"{Success.objects.count()} of {items} after 250 s; {OrmQ.objects.count()} queued")
    rate = (items - before) / (time.time() - start)
    cluster.stop()
    work.tell(rate)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    main(sys.argv[1], int(sys.argv[2]))
