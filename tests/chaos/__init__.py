"""Chaos: clients upload, processes are killed at random, and the record says what had to hold."""
