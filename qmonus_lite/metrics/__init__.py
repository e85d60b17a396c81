"""Metrics: counters in shared memory, kept by each process, and the scrape that reads all."""
