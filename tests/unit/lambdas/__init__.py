"""Tests of the room `lambdas`."""
