"""Tests of the package `apigw`."""
