"""Token usage as disjoint buckets. Owns what is counted; knows neither prices nor wire formats."""

from typing import Literal

from msgspec import Struct

UsageSource = Literal["provider", "estimated", "entry", "reserved", "none"]
"""Who counted: the provider; we, from what was seen; the stored entry of a cache hit; nobody, so the
reservation stands in (`reserved`); or there was nothing to count (`none`)."""


class Usage(Struct, frozen=True):
    """Tokens of one answer. The buckets are disjoint, except `reasoning`, which is inside `output`."""

    input: int = 0
    """Uncached input tokens."""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        """Every input token, whatever the provider's prompt cache did with it."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def without_prompt_cache(self) -> "Usage":
        """The same tokens as if the provider had no prompt cache."""
        return Usage(input=self.all_input, output=self.output, reasoning=self.reasoning)


def estimated_tokens(text_bytes: int) -> int:
    """Rough token count for English text of this many UTF-8 bytes (four bytes a token, rounded up).

    Only for answers that broke off before the provider counted them; such rows say `estimated`.
    """
    return -(-text_bytes // 4)
