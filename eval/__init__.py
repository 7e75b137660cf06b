"""Offline evaluation: what the ledger and the cache say about what already happened.

It calls the functions that production calls and starts nothing: no server, no provider, no writes.
"""
