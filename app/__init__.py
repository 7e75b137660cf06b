"""The gateway as a server: HTTP, settings, the command line, and the one hot path in `gateway.py`."""

__version__ = "0.1.0"
