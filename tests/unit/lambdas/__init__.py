"""Tests of the package `lambdas`."""
