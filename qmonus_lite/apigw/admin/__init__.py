"""The resources under `/-/`, one module each."""
