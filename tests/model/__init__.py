"""The protocol of claim, commit and sweep as a small explicit-state model, explored whole and held against the code."""
