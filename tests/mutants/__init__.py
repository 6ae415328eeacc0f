"""Break one mechanism at a time in a copy of the source, and see that a test notices: `python -m tests.mutants`."""
