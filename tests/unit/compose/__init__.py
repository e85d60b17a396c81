"""Tests of the package `compose`."""
