"""Tests of `event_logs`."""
