"""Warnings about plugins that load but probably do not work as meant; the rules are in `rules`."""
