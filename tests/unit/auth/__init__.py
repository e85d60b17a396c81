"""Tests of the package `auth`."""
