"""The shop's pages."""

from django.http import HttpResponse

from billing.models import Order


def orders(request):
    """List a customer's orders."""
    mine = Order.objects.filter(customer=request.user)
    return HttpResponse(", ".join(f"{order.pk}: {order.amount}" for order in mine))
