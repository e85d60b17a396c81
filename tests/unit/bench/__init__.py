"""Tests of what the bench makes of its figures."""
