"""Compose: settings become running processes; the only room that knows everyone."""
