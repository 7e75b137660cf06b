"""How deep JSON may be nested that comes from a client or a provider."""

import json
from typing import Any

import pytest

from router.errors import RequestInvalid, UpstreamMalformed
from router.nesting import DEEPEST, is_too_deep
from router.protocols.wire import decoded_object
from router.surfaces.surface import decoded_mapping


def nested(depth: int) -> dict[str, Any]:
    found: Any = {}
    for turn in range(depth - 2):
        found = [found, turn] if turn % 2 else {"more": found, "brackets": "[{" * 300}
    return {"outermost": found}


@pytest.mark.parametrize("depth", [2, 3, DEEPEST - 1, DEEPEST, DEEPEST + 1, DEEPEST + 50])
def test_the_limit_is_exact_and_brackets_in_texts_do_not_count(depth: int) -> None:
    data = nested(depth)

    assert is_too_deep(json.dumps(data).encode(), data) == (depth > DEEPEST)


def test_what_is_wide_is_not_deep() -> None:
    data = {"many": [{"a": []} for _ in range(10_000)]}

    assert not is_too_deep(json.dumps(data).encode(), data)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 900, 1_985, 100_000])
def test_what_is_too_deep_is_refused_before_anything_else_reads_it(depth: int) -> None:
    body = b'{"a":' * depth + b"1" + b"}" * depth

    with pytest.raises(RequestInvalid, match=f"nested more than {DEEPEST} deep"):
        decoded_mapping(body)
    with pytest.raises(UpstreamMalformed):
        decoded_object(body)
    assert decoded_mapping(b'{"a":' * DEEPEST + b"1" + b"}" * DEEPEST)
