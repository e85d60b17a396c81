"""Records: what became of uploads and refused requests, kept in SQLite for those who ask later."""
