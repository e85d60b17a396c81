"""A programmable upload gateway: plugins decide before the first byte and act after it."""

__version__ = "0.1.0"
