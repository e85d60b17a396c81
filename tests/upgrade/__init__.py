"""Upgrade of data directories of older versions."""
