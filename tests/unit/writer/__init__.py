"""Tests of the room `keeper`."""
