"""The demo product: the smallest Django project that runs Roost."""
