"""Scripts of YAML plugin files: source positions, compilation at load, and execution."""
