"""What the shop's programmers test once they have added Roost."""

import re

from accounts.models import Customer
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from billing.models import Invoice, Order
from billing.orders import order_placed
from django.db import transaction
from django.test import TestCase
from django_q.models import OrmQ
from django_q.tasks import async_task
from shop_site.asgi import application
from shop_site.csp import POLICY

from runtime.models import Event, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.tokens import create_token
from runtime.testing import drain

ITEMS = "/roost/api/v1/work-items"


class ShopWithRoost(TestCase):
    """The shop, with an order."""

    databases = ["default", "reports"]

    def setUp(self):
        self.clerk = Customer.objects.create_superuser("bob@example.com", "secret")
        self.order = Order(customer=self.clerk, amount=12)

    def test_an_order_is_invoiced_once(self):
        order_placed(self.order)
        order_placed(self.order)
        drain(skip_delays=True)
        invoice = Invoice.objects.get()
        self.assertEqual((invoice.order, invoice.amount), (self.order, 12))
        self.assertEqual(WorkItem.objects.get().result, {"invoice": invoice.pk})

    def test_an_order_that_is_rolled_back_leaves_no_item(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            order_placed(self.order)
            raise ZeroDivisionError
        self.assertEqual((Order.objects.count(), WorkItem.objects.count()), (0, 0))

    def test_programs_come_with_a_token_and_need_no_login(self):
        token = create_token("till", scopes=["enqueue", "read"], namespaces=["default"]).text
        self.order.save()
        body = {"engine": "invoice", "payload": {"order": self.order.pk}}
        asked = {"data": body, "content_type": "application/json"}
        self.assertEqual(self.client.post(ITEMS, **asked).status_code, 401)
        made = self.client.post(ITEMS, **asked, headers={"Authorization": f"Bearer {token}"})
        self.assertEqual((made.status_code, made["Content-Security-Policy"]), (201, POLICY))
        self.assertEqual(self.client.get("/roost/health/live").status_code, 200)

    def test_roosts_routes_are_in_the_shops_api_too(self):
        token = create_token("till", scopes=["enqueue", "read"], namespaces=["default"]).text
        self.order.save()
        body = {"engine": "invoice", "payload": {"order": self.order.pk}}
        asked = {"data": body, "content_type": "application/json", "headers": {"Authorization": f"Bearer {token}"}}
        made = self.client.post("/api/durable/work-items", **asked)
        self.assertEqual((made.status_code, made["Location"]), (201, f"/api/durable/work-items/{made.json()['id']}"))
        refused = self.client.post("/api/durable/work-items", **{**asked, "data": {"payload": 1}})
        self.assertEqual((refused.status_code, refused["Content-Type"]), (422, "application/problem+json"))

    def test_the_back_office_shows_items_to_clerks_under_the_shops_policy(self):
        order_placed(self.order)
        staff = Customer.objects.create_user("eve@example.com", "secret", is_staff=True, is_superuser=True)
        item = f"/backoffice/roost/workitem/{WorkItem.objects.get().pk}/change/"
        for page in ("/backoffice/roost/", "/backoffice/roost/workitem/", item):
            self.client.force_login(staff)
            self.assertEqual(self.client.get(page).status_code, 302)
            self.client.force_login(self.clerk)
            shown = self.client.get(page)
            self.assertContains(shown, "Back office")
            self.assertEqual(shown["Content-Security-Policy"], POLICY)
            text = re.sub(r'<script[^>]*type="application/json"[^>]*>', "", shown.content.decode())
            self.assertNotRegex(text, r"<style|<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=")

    def test_what_a_clerk_does_is_noted_under_the_clerks_address(self):
        order_placed(self.order)
        cancel(WorkItem.objects.get().pk, by=self.clerk, reason="wrong amount")
        self.assertEqual(Event.objects.get(kind="cancelled").actor, "bob@example.com")

    def test_the_shops_queue_is_the_shops(self):
        async_task("billing.tasks.count_sales")
        order_placed(self.order)
        drain(skip_delays=True)
        self.assertEqual(OrmQ.objects.count(), 1)

    def test_roosts_socket_is_beside_the_shops(self):
        async_to_sync(self.knock)()

    async def knock(self):
        scope = {"type": "websocket", "path": "/roost/live/", "headers": [], "query_string": b"", "subprotocols": []}
        socket = ApplicationCommunicator(application, scope)
        await socket.send_input({"type": "websocket.connect"})
        self.assertEqual((await socket.receive_output())["type"], "websocket.close")
        await socket.wait()
