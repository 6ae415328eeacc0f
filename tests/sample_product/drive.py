"""Use the shop in whose folder this runs, as its people do; say what its settings are.

    python drive.py before|with|after

`before` and `with` run the shop's own tests too. `with` uses Roost, by workers of its own, of which one is killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATABASES = ("default", "reports")
ORDERS = 150
PATIENCE_SECONDS = 60.0


def main(when: str) -> None:
    """Do it."""
    sys.path.insert(0, str(Path.cwd()))
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop_site.settings"
    import django
    from django.core.management import call_command

    django.setup()
    if when != "after":
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
        run_tests()
    for alias in DATABASES:
        call_command("migrate", database=alias, verbosity=0, check_unapplied=when == "after")
    use()
    if when == "with":
        use_roost()
    else:
        assert not {"runtime", "console", "engines"} & set(sys.modules)
    Path(f"{when}.json").write_text(json.dumps(settings(), default=repr))


def run_tests() -> None:
    """Run the shop's own tests, in databases that were not migrated: the real ones are."""
    from django.core.management import call_command
    from django.db import connections

    for alias in DATABASES:
        connections[alias].settings_dict["TEST"]["MIGRATE"] = False
    call_command("test", verbosity=0)
    for alias in DATABASES:
        connections[alias].settings_dict["TEST"]["MIGRATE"] = True
    connections.close_all()  # they are still those of the tests


def use() -> None:
    """Buy something, and have the shop count it."""
    from billing.models import DailySales, Order
    from billing.tasks import count_sales
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django_q.tasks import async_task

    people = get_user_model().objects
    ann = people.filter(email="ann@example.com").first() or people.create_superuser("ann@example.com", "secret")
    Order.objects.create(customer=ann, amount=12)
    count_sales()
    async_task("billing.tasks.count_sales")
    client = Client()
    client.force_login(ann)
    assert client.get("/backoffice/billing/order/").status_code == 200
    assert client.get("/backoffice/").status_code == 200
    assert client.get("/orders/").content.decode().count(":") == Order.objects.count()
    assert DailySales.objects.get().amount == sum(order.amount for order in Order.objects.all())


def use_roost() -> None:
    """Place orders whose invoices are work items, kill the worker that makes them, and let another go on."""
    from billing.models import Invoice, Order
    from billing.orders import order_placed
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client
    from django_q.models import OrmQ

    from runtime.models import WorkItem

    waiting, buyer = OrmQ.objects.count(), get_user_model().objects.get()
    orders = [Order(customer=buyer, amount=amount) for amount in range(1, ORDERS + 1)]
    for order in orders:
        order_placed(order)
    kill_a_worker(when=Invoice.objects.exists)
    assert Invoice.objects.count() < ORDERS, "it was killed too late to tell anything"
    call_command("runworker", until_idle=True)
    invoiced = Invoice.objects.order_by("amount").values_list("order_id", "amount")
    left = list(WorkItem.objects.exclude(state="done").values("state", "reason", "run_at", "attempt", "last_error"))
    assert list(invoiced) == [(order.pk, order.amount) for order in orders], left
    assert OrmQ.objects.count() == waiting > 0
    assert Client().get("/roost/health/ready").status_code == 200


def kill_a_worker(when: Callable[[], bool]) -> None:
    """Start a worker, and kill all its processes with SIGKILL as soon as something is the case."""
    # Nice, so that on a busy machine it is not done before anybody looks.
    worker = subprocess.Popen(["nice", "-n", "19", sys.executable, "manage.py", "runworker"], start_new_session=True)
    end = time.monotonic() + PATIENCE_SECONDS
    while not when() and time.monotonic() < end:
        time.sleep(0.001)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def settings() -> dict[str, Any]:
    """Return the settings as they are, after everything that could have changed them."""
    from django.conf import settings

    with warnings.catch_warnings(action="ignore"):  # Django warns of defaults of its own that will go
        return {name: getattr(settings, name) for name in dir(settings) if name.isupper()}


if __name__ == "__main__":
    main(sys.argv[1])
