"""Measure what Roost does a second, beside what the database itself can do with the same rows."""
