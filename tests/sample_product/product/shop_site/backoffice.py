"""The shop's admin site."""

from django.contrib.admin import AdminSite


class Backoffice(AdminSite):
    """Open to clerks alone, whoever else is staff."""

    site_header = "Back office"

    def has_permission(self, request):
        """Say whether somebody is a clerk."""
        return super().has_permission(request) and request.user.is_clerk
