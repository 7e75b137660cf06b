"""Providers of other protocols than OpenAI's, on loopback: each takes what its vendor's SDK sends, and answers in a
form that the SDK accepts."""
