"""Make invoices."""

from billing.models import Invoice, Order


def make_invoice(order):
    """Make the invoice of an order."""
    return Invoice.objects.create(order_id=order, amount=Order.objects.get(pk=order).amount)
