"""The ledger: an append-only, hash-chained record of every request and every nano-dollar."""
