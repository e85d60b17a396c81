"""Tests of the rules for plugins."""
