"""Tests of what scripts find without importing it."""
