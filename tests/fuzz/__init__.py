"""Ask a running server of the API everything that its own description allows, and much that it does not."""
