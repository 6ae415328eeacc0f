"""What `roost demo` does.

inside    runs the demo with a fresh SQLite database of its own, whatever the product's is   settings
story     one item, a page, two workers, a kill; and the proof that nothing was lost         page, fleet, proof
crash     kills many workers on the configured database and measures                         fleet
"""
