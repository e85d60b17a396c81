"""Event logs: where events are stored until they are delivered."""
