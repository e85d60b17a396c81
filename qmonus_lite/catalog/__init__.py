"""Plugins as data: YAML files become one immutable catalog, all or none of them."""
