"""What scripts find without importing it, one noun a module; `names` has the table."""
