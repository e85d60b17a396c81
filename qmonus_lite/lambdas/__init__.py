"""One event's handlers: in order, each seeing what the one before changed."""
