"""Tests of the room `upload`."""
