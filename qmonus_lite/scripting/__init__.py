"""Scripts: where they stand in a YAML file, how they are compiled at load, and where they run."""
