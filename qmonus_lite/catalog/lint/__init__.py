"""Warnings about plugins that load and all the same do not do what was meant; `rules` has all."""
