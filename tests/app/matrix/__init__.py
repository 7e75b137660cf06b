"""Every client API to every provider's protocol, capability by capability: the table, and what it is made of."""
