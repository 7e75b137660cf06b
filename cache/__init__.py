"""The semantic cache: scope, encoder, index, decision, entries, audits.

Knows no HTTP servers, no providers and no money.
"""
