"""Memory that was freed, given back to the system: the C library keeps much of it for later."""

import ctypes


def return_freed() -> None:
    """After much was freed at once. Does nothing where the C library has no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
