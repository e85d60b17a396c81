"""Settings of a process, in groups: one module per group, joined to one table in `table`."""
