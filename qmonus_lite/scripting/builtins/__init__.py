"""Names that scripts can use without an import, a module per group; the table is in `names`."""
