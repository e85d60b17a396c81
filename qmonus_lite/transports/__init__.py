"""Implementations of `events.transport.Transport` and `events.workers.WorkerRegistry`."""
