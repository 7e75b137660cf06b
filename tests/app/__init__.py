"""End-to-end tests: a real `thriftgate serve` process, real HTTP on both sides, loopback only."""
