"""What requests for embeddings promise: a bad one is named, vectors and tokens add up, and nothing odd gets through."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.embeddings import Embedding, answer_body, call_for, decode_request, is_in, key_of, shares, written
from router.errors import RequestInvalid, UpstreamError, UpstreamMalformed
from router.prices import Priced
from router.protocols import embeddings as wire_side
from router.protocols import spoken, wire_format
from tests.router.samples import AT, quick

TENANT = ["team", "support", "prod", "default", "1"]
texts = st.text(min_size=1)
tokens = st.lists(st.integers(0, 200_000), min_size=1)


def decoded(**fields: Any) -> Any:
    return decode_request({"model": "embed", "input": "x"} | fields)


def deployment(protocol: str = "openai") -> Deployment:
    return Deployment(
        "here/e", Provider("here", "http://here.invalid/v1", protocol=protocol), "e-up", Priced("here", "e")
    )


# --- requests -----------------------------------------------------------------------------------------------


@quick
@given(inputs=st.one_of(texts, tokens, st.lists(texts, min_size=1), st.lists(tokens, min_size=1)))
def test_a_call_for_all_inputs_asks_what_the_client_asked(inputs: Any) -> None:
    asked = decoded(input=inputs, dimensions=8, novel={"a": [1]})

    call = call_for(asked, range(len(asked.inputs)))
    sent = json.loads(wire_side.encode(call, deployment(), None).body)

    assert sent == {"model": "e-up", "input": inputs, "dimensions": 8, "novel": {"a": [1]}}
    assert call.input_bound(8192) >= sum(
        len(item) if isinstance(item, list) else len(item.encode()) for item in asked.inputs
    )


@quick
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_whatever_the_input_is_it_is_taken_or_refused_by_name(value: Any) -> None:
    try:
        asked = decoded(input=value)
    except RequestInvalid as error:
        assert (error.param or "").startswith("input")  # noqa: PT017
    else:
        assert asked.inputs
        assert all(asked.inputs)


def encoded(request: Any, protocol: str) -> Any:
    """What a provider of this protocol gets."""
    where = deployment(protocol)
    call = call_for(request, range(len(request.inputs)))
    return wire_format(spoken(where.provider, call.dialect)).encode(call, where, None)


@pytest.mark.parametrize("protocol", ["anthropic", "bedrock"])
def test_a_provider_without_embeddings_is_refused(protocol: str) -> None:
    with pytest.raises(RequestInvalid, match=protocol):
        encoded(decoded(), protocol)


def test_ollama_is_asked_in_its_own_form() -> None:
    wire = encoded(decoded(input=["a", "b"], dimensions=5, encoding_format="base64", user="u"), "ollama")

    assert (wire.path, wire.dropped) == ("/api/embed", ("user",))
    assert json.loads(wire.body) == {"model": "e-up", "input": ["a", "b"], "truncate": False, "dimensions": 5}


def test_gemini_is_asked_in_its_own_form() -> None:
    wire = encoded(decoded(input=["a", "b"], dimensions=5), "gemini")

    assert wire.path == "/models/e-up:batchEmbedContents"
    requests = json.loads(wire.body)["requests"]
    assert [each["content"]["parts"][0]["text"] for each in requests] == ["a", "b"]
    assert {(each["model"], each["outputDimensionality"]) for each in requests} == {("models/e-up", 5)}


@pytest.mark.parametrize("protocol", ["gemini", "ollama"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [({"input": [[1, 2]]}, "input[0]"), ({"input": [1, 2]}, "input[0]"), ({"task": "query"}, "task")],
)
def test_what_they_have_no_form_for_is_refused_by_name(protocol: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        encoded(decoded(**fields), protocol)

    assert refusal.value.param == param


OWN_FORMS = {
    "ollama_embeddings": {"model": "up", "embeddings": [[1.5], [2]], "prompt_eval_count": 5},
    "gemini_embeddings": {"embeddings": [{"values": [1.5]}, {"values": [2]}], "usageMetadata": {"promptTokenCount": 5}},
}


@pytest.mark.parametrize("protocol", OWN_FORMS)
def test_their_answers_are_put_into_the_form_that_clients_know(protocol: str) -> None:
    event = wire_format(protocol).parse_body(json.dumps(OWN_FORMS[protocol]).encode())

    assert [json.loads(vector) for vector in wire_side.vectors_of(event)] == [[1.5], [2]]
    assert not wire_side.is_ordered(event)
    assert event.usage is not None
    assert event.usage.input == 5


def test_azure_has_its_own_path_and_key_header() -> None:
    wire = wire_side.encode(call_for(decoded(), [0]), deployment("azure"), None)

    headers = wire_side.authorised(wire, "http://here.invalid" + wire.path, "secret", None)  # type: ignore[arg-type]

    assert wire.path.startswith("/openai/deployments/e-up/embeddings?api-version=")
    assert headers["api-key"] == "secret"


def test_a_key_splits_by_everything_but_form_and_user() -> None:
    key = key_of(decoded(), 0, TENANT)

    same = [decoded(encoding_format="base64"), decoded(user="u1"), decoded(input=["y", "x"]), decoded(dimensions=None)]
    others = [
        decoded(dimensions=3),
        decoded(novel=1),
        decoded(model="other"),
        decoded(input="x "),
        decoded(input=[120]),
    ]

    assert {key_of(asked, len(asked.inputs) - 1, TENANT) for asked in same} == {key}
    assert key not in {key_of(asked, 0, TENANT) for asked in others}
    assert key != key_of(decoded(), 0, ["team", "sales", "prod", "default", "1"])


# --- tokens and vectors -------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 10**6), st.lists(texts | tokens, min_size=1))
def test_shares_add_up_to_the_token(count: int, inputs: list[Any]) -> None:
    found = shares(count, inputs)

    assert sum(found) == count
    assert len(found) == len(inputs)
    assert min(found) >= 0


@quick
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_vector_of_32_bits_is_the_same_in_both_forms(numbers: list[float]) -> None:
    vector = msgspec.json.encode(numbers)

    packed = written(vector, "base64")

    assert msgspec.json.decode(written(packed, "float")) == numbers
    assert written(vector, "float") is vector
    assert written(packed, "base64") is packed


@pytest.mark.parametrize("vector", [b'"%"', b'"AAA"', b'"AAAAAAA="', b'["x"]', b"{}", b"5", b"[1e400]", b"null"])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_what_is_no_vector_is_not_converted(vector: bytes, encoding: Any) -> None:
    if is_in(vector, encoding):
        return  # it passes as it is; `parse_body` takes lists and strings only
    with pytest.raises(UpstreamMalformed):
        written(vector, encoding)


def test_an_answer_is_put_together_in_order() -> None:
    asked = decoded(input=["a", "b"])

    answer = json.loads(answer_body(asked, [Embedding(b"[1.50]", 3, "up"), Embedding(b"[2]", 4, "up")], "up"))

    assert [item["embedding"] for item in answer["data"]] == [[1.5], [2]]
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert (answer["object"], answer["model"]) == ("list", "up")
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


# --- what providers answer ----------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_their_numbers() -> None:
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": "AAAA"}]

    event = wire_side.parse_body(json.dumps({"data": data, "model": "up", "usage": {"prompt_tokens": 5}}).encode())

    assert wire_side.vectors_of(event) == [b'"AAAA"', b"[2]"]
    assert not wire_side.is_ordered(event)
    assert event.usage is not None
    assert event.usage.input == 5


@quick
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["data", "index", "embedding", "embeddings", "values", "usage", "error"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode(errors="surrogatepass"))
)
def test_any_answer_is_parsed_or_a_typed_error(body: bytes) -> None:
    for protocol in ("embeddings", *OWN_FORMS):
        try:
            event = wire_format(protocol).parse_body(body)
        except UpstreamError:
            continue
        assert event.raw == body
        assert isinstance(wire_side.vectors_of(event), list)


# --- prices -------------------------------------------------------------------------------------------------


def test_a_model_that_writes_nothing_needs_no_price_for_it() -> None:
    embedding = Priced("openai", "text-embedding-3-small", writes=False).list_prices(AT, 100)

    assert embedding is not None
    assert (embedding.input, embedding.output) == (20_000_000, 0)
    assert Priced("openai", "text-embedding-3-small").list_prices(AT, 100) is None
