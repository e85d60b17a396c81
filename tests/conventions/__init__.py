"""The conventions that code, tests and documentation keep, checked."""
