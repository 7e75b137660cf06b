"""Token usage as disjoint buckets. Owns what is counted; knows neither prices nor wire formats."""

from typing import Literal

import msgspec
from msgspec import Struct

UsageSource = Literal["provider", "estimated", "entry", "reserved", "none"]
"""Who counted: the provider; we, from what was seen; the stored entry of a cache hit; nobody, so the
reservation stands in (`reserved`); or there was nothing to count (`none`)."""


class Usage(Struct, frozen=True):
    """Tokens of one answer. The buckets are disjoint; what is inside another one says so."""

    input: int = 0
    """Uncached input tokens."""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    """Inside `output`."""
    audio_input: int = 0
    """Inside `input`: audio has prices of its own."""
    audio_cache_read: int = 0
    """Inside `cache_read`."""
    audio_output: int = 0
    """Inside `output`."""
    tools: dict[str, int] = {}
    """Kind -> calls, of the provider's own tools that cost a fee beside their tokens (`router/own_tools.py`)."""

    @property
    def audio(self) -> tuple[int, int, int]:
        """Audio tokens inside `input`, `cache_read` and `output`, each no more than there are tokens."""
        return (
            min(self.audio_input, self.input),
            min(self.audio_cache_read, self.cache_read),
            min(self.audio_output, self.output),
        )

    @property
    def all_input(self) -> int:
        """Every input token, whatever the provider's prompt cache did with it."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def grown_to(self, output: int) -> "Usage":
        """The same, with at least so much output."""
        return msgspec.structs.replace(self, output=max(self.output, output))

    def with_audio(self, heard: int, spoken: int) -> "Usage":
        """The same, with so many tokens of audio among the input, and as many more output tokens as were spoken."""
        return msgspec.structs.replace(
            self, output=self.output + spoken, audio_input=min(heard, self.input), audio_output=spoken
        )

    def without_prompt_cache(self) -> "Usage":
        """The same tokens as if the provider had no prompt cache."""
        return Usage(
            input=self.all_input,
            output=self.output,
            reasoning=self.reasoning,
            audio_input=self.audio_input + self.audio_cache_read,
            audio_output=self.audio_output,
            tools=self.tools,
        )


def estimated_tokens(text_bytes: int) -> int:
    """Rough token count for English text of this many UTF-8 bytes (four bytes a token, rounded up).

    Only for answers that broke off before the provider counted them; such rows say `estimated`.
    """
    return -(-text_bytes // 4)
