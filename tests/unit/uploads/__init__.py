"""Tests of the package `uploads`."""
