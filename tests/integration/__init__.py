"""Tests of several packages together, in one process."""
