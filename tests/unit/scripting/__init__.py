"""Tests of the package `scripting`."""
