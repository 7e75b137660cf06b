"""The cache's error tree. It knows no HTTP: `app/` decides what a client sees (a cache fault is a miss).

CacheError
├── EncoderUnavailable    the encoder's folder cannot be served; says what is bad and the next step
├── ExportFailed          a model could not be turned into an encoder's folder; likewise
└── TextTooLong           the text has more tokens than the encoder reads; nothing is ever truncated
"""


class CacheError(Exception):
    """Something the cache refuses or could not do."""


class EncoderUnavailable(CacheError):
    """There is no encoder to serve with. The message names the file and the next step."""


class ExportFailed(CacheError):
    """The export stopped and left nothing behind. The message names the cause and the next step."""


class TextTooLong(CacheError):
    """`tokens` > `max_tokens`. Such a text stays exact-only."""

    def __init__(self, tokens: int, max_tokens: int) -> None:
        super().__init__(f"The text has {tokens} tokens, the encoder reads at most {max_tokens}.")
        self.tokens = tokens
        self.max_tokens = max_tokens
