"""Tests of the room `scripting`."""
