"""Orders, invoices and figures."""

from django.conf import settings
from django.db import models


class Order(models.Model):
    """What a customer wants."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    amount = models.PositiveIntegerField()
    placed_at = models.DateTimeField(auto_now_add=True)


class Invoice(models.Model):
    """What a customer owes."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    amount = models.PositiveIntegerField()


class DailySales(models.Model):
    """A day's figure, in the database of reports."""

    day = models.DateField(unique=True)
    amount = models.PositiveIntegerField(default=0)
