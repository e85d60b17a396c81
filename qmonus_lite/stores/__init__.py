"""Implementations of the upload store: where files are written, and how they appear."""
