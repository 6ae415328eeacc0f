"""The shop's own API."""

from django.contrib.auth.decorators import login_not_required
from ninja import NinjaAPI

api = NinjaAPI(title="Shop")


@api.get("/hours", auth=None)
def hours(request):
    """Tell when the shop is open."""
    return {"open": "9-18"}


routes = api.urls
for route in routes[0]:
    route.callback = login_not_required(route.callback)
