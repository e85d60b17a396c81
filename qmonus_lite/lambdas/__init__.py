"""Execution of the handlers of an event: in order, each gets the event as the previous left it."""
