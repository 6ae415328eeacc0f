"""Tests of the read side. Rows are written by hand, so that each test says exactly what it reads."""
