"""Which model answers, what it costs, and who pays: routing, budgets, prices, ledger and upstream calls.

Knows nothing of HTTP servers and nothing of the cache.
"""
