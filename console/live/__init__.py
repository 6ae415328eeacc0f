"""Live updates over Channels."""
