"""SQLite databases with group commit, a format number and migrations; the only user of sqlite3."""
