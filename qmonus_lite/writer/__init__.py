"""Commit service: stores uploads, commits their events to the outbox and delivers them."""
