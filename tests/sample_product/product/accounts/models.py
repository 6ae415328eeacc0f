"""Who buys and who sells."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Customers(BaseUserManager):
    """Makes customers, known by their e-mail address."""

    def create_user(self, email, password=None, **fields):
        """Make a customer."""
        customer = self.model(email=self.normalize_email(email), **fields)
        customer.set_password(password)
        customer.save(using=self._db)
        return customer

    def create_superuser(self, email, password=None, **fields):
        """Make a clerk who may do everything."""
        return self.create_user(email, password, is_staff=True, is_clerk=True, is_superuser=True, **fields)


class Customer(AbstractBaseUser, PermissionsMixin):
    """A customer; some are clerks."""

    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_clerk = models.BooleanField(default=False)

    objects = Customers()

    USERNAME_FIELD = "email"
