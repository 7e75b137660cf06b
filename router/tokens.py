"""Counts tokens here, where no provider counts them: for answers that broke off, and for questions about size.

The vocabulary is OpenAI's `o200k_base`, which ships inside its package. Other vendors' tokenisers are not public: for
their models the count is an estimate.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import msgspec

_ENCODING: Final = "o200k_base"
_COMPILED: Final = "_bindings"
_MESSAGE_TOKENS: Final = 4
"""What marks where a message begins and ends, and its role."""
_PICTURE_TOKENS: Final = 1600
"""A picture at the size to which vendors scale larger ones."""
_FILE_TOKENS: Final = 3000
"""A document of two pages: text and picture of each."""
_HEARD_PER_S: Final = 10
_SPOKEN_PER_S: Final = 20
"""Tokens of a second of audio (OpenAI, "Managing costs": one for 100 ms of a user's, for 50 ms of an assistant's)."""
_PCM16_BYTES_PER_S: Final = 48_000
_HEARD_BYTES_PER_S: Final = {"wav": 32_000, "pcm16": _PCM16_BYTES_PER_S}
_COMPRESSED_BYTES_PER_S: Final = 8_000


def token_count(text: str) -> int:
    """Tokens of this text. The first call takes a moment: it loads the vocabulary."""
    return int(_tokeniser().count(text.encode(errors="replace").decode()))


@cache
def _tokeniser() -> Any:
    """The compiled part of `bpe_openai`, loaded by itself when it is first needed: half a second and 70 MB. The package
    around it would read every vocabulary once more in Python, for four times as long and as much memory again."""
    package = find_spec("bpe_openai")
    assert package is not None
    assert package.submodule_search_locations is not None
    folder = Path(package.submodule_search_locations[0])
    path = next(path for path in folder.iterdir() if path.name.endswith(tuple(EXTENSION_SUFFIXES)))
    loader = ExtensionFileLoader(f"bpe_openai.{_COMPILED}", str(path))
    spec = spec_from_file_location(loader.name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module.tokenizer_for_encoding(_ENCODING)


def input_estimate(mapping: Mapping[str, Any]) -> int:
    """About how many input tokens a canonical request has: messages, tools and the wanted form of the answer."""
    settings = [mapping[name] for name in ("tools", "response_format") if mapping.get(name)]
    parts = sum(_part_tokens(part) for message in mapping["messages"] for part in _parts(message))
    return parts + _MESSAGE_TOKENS * len(mapping["messages"]) + sum(_json_tokens(setting) for setting in settings)


def heard_tokens(mapping: Mapping[str, Any]) -> int:
    """About how many of them are audio."""
    parts = (part for message in mapping["messages"] for part in _parts(message))
    return sum(_part_tokens(part) for part in parts if isinstance(part, dict) and part.get("type") == "input_audio")


def spoken_tokens(spoken_bytes: int) -> int:
    """About how many output tokens so many bytes of `pcm16` are."""
    return -(-spoken_bytes * _SPOKEN_PER_S // _PCM16_BYTES_PER_S)


def _parts(message: Mapping[str, Any]) -> Iterator[Any]:
    content = message.get("content")
    yield from content if isinstance(content, list) else [content]
    if message.get("tool_calls"):
        yield {"type": "tool_calls", "calls": [call.get("function") for call in message["tool_calls"]]}


def _part_tokens(part: Any) -> int:
    match part:
        case str():
            return token_count(part)
        case {"type": "text", "text": str(text)}:
            return token_count(text)
        case {"type": "image_url"}:
            return _PICTURE_TOKENS
        case {"type": "file"}:
            return _FILE_TOKENS
        case {"type": "input_audio", "input_audio": {"data": str(data), **rest}}:
            bytes_per_s = _HEARD_BYTES_PER_S.get(str(rest.get("format")), _COMPRESSED_BYTES_PER_S)
            return -(-len(data) * 3 * _HEARD_PER_S // (4 * bytes_per_s))
        case None:
            return 0
        case _:
            return _json_tokens(part)


def _json_tokens(value: Any) -> int:
    return token_count(msgspec.json.encode(value).decode())
