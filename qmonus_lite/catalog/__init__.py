"""Plugins as data: YAML files are loaded into one immutable catalog, all or none of them."""
