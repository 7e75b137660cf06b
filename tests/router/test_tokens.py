"""What counting tokens here promises: numbers that do not depend on what the text contains."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.tokens import input_estimate, token_count
from tests.router.samples import quick


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("Hello world", 2), ("<|endoftext|>", 7), ("\ud800", 1), ("a" * 800_000, 100_000)]
)
def test_a_text_has_as_many_tokens_as_the_vocabulary_says(text: str, tokens: int) -> None:
    assert token_count(text) == tokens


@quick
@given(st.text())
def test_any_text_can_be_counted(text: str) -> None:
    assert 0 <= token_count(text) <= len(text.encode(errors="replace"))


def test_a_request_has_the_tokens_of_all_that_the_model_reads() -> None:
    words = {"role": "user", "content": "Hello world"}
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}

    assert input_estimate({"messages": [words]}) == 6
    assert input_estimate({"messages": [words, words]}) == 12
    assert input_estimate({"messages": [words], "tools": [{"type": "function"}]}) > 6
    assert input_estimate({"messages": [{"role": "user", "content": [picture]}]}) > 1000
    calls = [{"id": "c", "function": {"name": "look", "arguments": "{}"}}]
    assert input_estimate({"messages": [{"role": "assistant", "content": None, "tool_calls": calls}]}) > 10


def test_the_vocabulary_is_not_in_memory_before_it_is_needed() -> None:
    code = "import sys, router.tokens; sys.exit('bpe_openai' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
