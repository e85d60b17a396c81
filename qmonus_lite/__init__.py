"""A programmable upload gateway: plugins authorize uploads before the body and process events."""

__version__ = "0.1.0"
