"""Event transport: envelope, signatures, queries, the outbox, its dispatcher, worker registry."""
