"""Roost inside somebody else's product."""
