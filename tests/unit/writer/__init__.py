"""Tests of the writer process and of its connection to the APIGWs."""
