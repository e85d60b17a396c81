"""Tests of the room `apigw`."""
