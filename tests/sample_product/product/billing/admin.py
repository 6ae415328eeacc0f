"""The back office's pages of orders."""

from django.contrib import admin

from billing.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders."""

    list_display = ["pk", "customer", "amount"]
