"""The shop's addresses."""

from billing import views
from django.contrib import admin
from django.urls import path

from shop_site.api import routes

urlpatterns = [
    path("backoffice/", admin.site.urls),
    path("api/", routes),
    path("orders/", views.orders, name="orders"),
]
