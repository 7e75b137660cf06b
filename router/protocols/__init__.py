"""Wire formats: one module of pure functions for each protocol. A provider is configuration."""
