"""A provider's words reach clients as they are, without our credentials and the address that we reach it at."""

import pytest

from router.masking import masked

INSIDE = "http://10.2.0.7:8000/v1"
PUBLIC = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("base_url", "said", "heard"),
    [
        (INSIDE, "no such thing at http://10.2.0.7:8000/v1/internal", "no such thing at ***"),
        (INSIDE, "see http://10.2.0.7:8000/v1/internal?key=7, then wait.", "see ***, then wait."),
        (INSIDE, 'Post "http://10.2.0.7:8000/v1/chat": EOF', 'Post "***": EOF'),
        (INSIDE, "dial tcp 10.2.0.7:8000: connection refused", "dial tcp ***: connection refused"),
        (INSIDE, "HTTPConnectionPool(host='10.2.0.7', port=8000)", "HTTPConnectionPool(host='***', port=8000)"),
        (INSIDE, "metrics are at 10.2.0.7:9090/metrics.", "metrics are at ***."),
        (INSIDE, "The host is 10.2.0.7.", "The host is ***."),
        (INSIDE, "next=http%3A%2F%2F10.2.0.7%3A8000%2Fv1 failed", "next=http%3A%2F%2F*** failed"),
        (INSIDE, "https://me:secret@10.2.0.7/v1 is closed", "*** is closed"),
        (PUBLIC, "Invalid URL (POST https://API.openai.com/v1/chats)", "Invalid URL (POST ***)"),
        ("http://[fd00::5]:8000/v1", "no route to http://[fd00::5]:8000/v1/x or fd00::5", "no route to *** or ***"),
        ("http://ollama:11434", 'Get "http://ollama:11434/api/tags"', 'Get "***"'),
        ("http://ollama:11434", "ollama:11434 and http://ollama/api are down", "*** and *** are down"),
    ],
)
def test_the_address_of_the_provider_is_masked_in_whatever_form_it_is_told(
    base_url: str, said: str, heard: str
) -> None:
    assert masked(base_url, None)(said) == heard


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        (PUBLIC, "See https://platform.openai.com/docs/guides/error-codes."),
        (PUBLIC, "OpenAI's API is at https://myapi.openai.com/v1 or api.openai.com.example."),
        (INSIDE, "Versions 10.2.0.70, 110.2.0.7 and 10.2.0.7.1 differ; temperature must be <= 2.0."),
        (INSIDE, "The model `gpt-5` does not exist at 127.0.0.1:8000."),
        ("http://ollama:11434", "ollama is an ollama/model, ollama: see https://ollama.com/docs"),
        ("", "Nothing is masked for a provider without an address."),
    ],
)
def test_other_addresses_and_words_stay(base_url: str, said: str) -> None:
    assert masked(base_url, None)(said) == said


@pytest.mark.parametrize(
    "credentials", ["sk-very-secret-key", "AKIA12345678:sk-very-secret-key", "me sk-very-secret-key"]
)
def test_every_part_of_the_credentials_is_masked(credentials: str) -> None:
    said = masked(PUBLIC, credentials)(f"Bad key {credentials}, that is sk-very-secret-key.")

    assert "secret" not in said
    assert "AKIA" not in said


def test_a_short_piece_of_a_credential_is_a_word_like_any_other() -> None:
    assert masked(PUBLIC, "test")("This is a test.") == "This is a test."
