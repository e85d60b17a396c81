"""One package at a time."""
