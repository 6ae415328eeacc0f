"""The shop's own tests, which know nothing of Roost."""

import io
import json
from unittest import mock

from accounts.models import Customer
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib import admin
from django.core.management import call_command
from django.db import connections
from django.test import TestCase
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from shop_site.asgi import application
from shop_site.csp import POLICY

from billing.models import DailySales, Order
from billing.tasks import count_sales


class Shop(TestCase):
    """The shop, with a customer and a clerk."""

    databases = ["default", "reports"]

    def setUp(self):
        self.customer = Customer.objects.create_user("ann@example.com", "secret")
        self.clerk = Customer.objects.create_superuser("bob@example.com", "secret")

    def test_a_customer_sees_orders_and_a_stranger_the_login(self):
        order = Order.objects.create(customer=self.customer, amount=12)
        self.assertRedirects(self.client.get("/orders/"), "/backoffice/login/?next=/orders/")
        self.client.force_login(self.customer)
        answer = self.client.get("/orders/")
        self.assertEqual(answer.content.decode(), f"{order.pk}: 12")
        self.assertEqual(answer["Content-Security-Policy"], POLICY)

    def test_the_back_office_is_for_clerks(self):
        self.client.force_login(self.customer)
        self.assertEqual(self.client.get("/backoffice/").status_code, 302)
        self.client.force_login(self.clerk)
        self.assertContains(self.client.get("/backoffice/"), admin.site.site_header)
        Order.objects.create(customer=self.customer, amount=12)
        self.assertContains(self.client.get("/backoffice/billing/order/"), "ann@example.com")

    def test_the_api_tells_the_hours(self):
        self.assertEqual(self.client.get("/api/hours").json(), {"open": "9-18"})

    def test_the_api_tells_what_is_wrong_in_its_own_words(self):
        self.assertEqual(self.client.get("/api/prices/1").json(), {"price": 12})
        missing = self.client.get("/api/prices/2")
        self.assertEqual((missing.status_code, missing.json()), (404, {"detail": "There is one article."}))
        wrong = self.client.get("/api/prices/first")
        self.assertEqual((wrong.status_code, wrong.json()["detail"][0]["loc"]), (422, ["path", "article"]))

    def test_figures_are_in_the_database_of_reports(self):
        Order.objects.create(customer=self.customer, amount=12)
        count_sales()
        self.assertEqual(DailySales.objects.using("reports").get(day=timezone.localdate()).amount, 12)
        tables = connections["reports"].introspection.table_names()
        self.assertEqual([name for name in tables if name != "django_migrations"], ["billing_dailysales"])

    def test_the_cluster_gets_tasks_and_schedules(self):
        async_task("billing.tasks.count_sales")
        Schedule.objects.create(func="billing.tasks.count_sales", schedule_type=Schedule.ONCE)
        scheduler()
        tasks = [SignedPackage.loads(one.payload)["func"] for one in OrmQ.objects.all()]
        self.assertEqual(tasks, ["billing.tasks.count_sales"] * 2)
        self.assertEqual({one.key for one in OrmQ.objects.all()}, {"shop"})

    def test_a_socket_answers(self):
        async_to_sync(self.talk)()

    async def talk(self):
        scope = {"type": "websocket", "path": "/ws/orders/", "headers": [], "query_string": b"", "subprotocols": []}
        socket = ApplicationCommunicator(application, scope)
        await socket.send_input({"type": "websocket.connect"})
        self.assertEqual((await socket.receive_output())["type"], "websocket.accept")
        await socket.send_input({"type": "websocket.receive", "text": '"hello"'})
        self.assertEqual(json.loads((await socket.receive_output())["text"]), {"heard": "hello"})
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()

    def test_the_worker_of_channels_is_the_shops(self):
        said = io.StringIO()
        with mock.patch("channels.worker.Worker.run") as run:
            call_command("runworker", "receipts", stdout=said)
        run.assert_called_once_with()
        self.assertIn("The shop listens on receipts.", said.getvalue())
