"""Event log in an SQLite database of the data directory."""
