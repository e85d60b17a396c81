"""Composition root: builds the server processes from settings; depends on all their packages."""
