"""Have Django's admin be the shop's own site."""

from django.contrib.admin.apps import AdminConfig


class BackofficeConfig(AdminConfig):
    """Django's admin, with the shop's site in place of its own."""

    default_site = "shop_site.backoffice.Backoffice"
