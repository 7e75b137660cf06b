"""What converting requests from and to Anthropic's Messages promises: what both protocols have comes back the same,
and every other field is named."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.prices import Priced
from router.protocols import anthropic, gemini, openai
from router.surfaces import anthropic as surface
from tests.app.simulators.anthropic import mistake
from tests.router.samples import quick, request

PROVIDER = Provider("here", "http://here.invalid/v1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(model: str = "claude-opus-4-6", **fields: Any) -> Deployment:
    return Deployment("here/m", PROVIDER, model, Priced("here", "m"), **fields)


def decoded(**fields: Any) -> ChatRequest:
    """A client's request, decoded."""
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]} | fields
    return surface.decode_request(json.dumps(body).encode(), {})


def sent(asked: ChatRequest, model: str = "claude-opus-4-6", limit: int | None = None) -> dict[str, Any]:
    """What Anthropic gets."""
    found: dict[str, Any] = json.loads(anthropic.encode(asked, deployment(model), limit).body)
    return found


def as_openai(asked: ChatRequest) -> ChatRequest:
    """The same request, had a client of OpenAI's dialect sent it."""
    return msgspec.structs.replace(asked, dialect="openai", original=None)


# --- there and back ----------------------------------------------------------------------------------------------

names = st.text("abcdefgh_", min_size=1, max_size=8)
words = st.text(min_size=1, max_size=12)
mark = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
objects = st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=3)
schemas = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(names, objects, max_size=2)})


def blocks(kind: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Of this kind, some with a cache mark."""
    return st.one_of(kind, st.builds(lambda block, marked: {**block, "cache_control": marked}, kind, mark))


def fixed(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    strategies = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()
    }
    return st.fixed_dictionaries(strategies)


texts = blocks(fixed(type="text", text=words))
png = fixed(type="base64", media_type="image/png", data="iVBORw0=")
pdf = fixed(type="base64", media_type="application/pdf", data="JVBERi0=")
plain = fixed(type="text", media_type="text/plain", data=words)
address = fixed(type="url", url="https://example.com/x?y=ü")
images = blocks(fixed(type="image", source=png | address))
documents = blocks(fixed(type="document", source=pdf | address | plain, title=names))
thoughts = fixed(type="thinking", thinking=words, signature=words) | fixed(type="redacted_thinking", data=words)


@st.composite
def rounds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A user's turn and an answer to it; the answer's calls have their results at the beginning of the next turn."""
    messages: list[dict[str, Any]] = []
    pending: list[str] = []
    for at in range(draw(st.integers(0, 3))):
        messages.append(draw(asked(pending)))
        calls = draw(st.lists(st.tuples(names, objects), max_size=2))
        pending = [f"toolu_{at}_{n}" for n in range(len(calls))]
        said = draw(st.lists(thoughts, max_size=1)) + draw(st.lists(fixed(type="text", text=words), max_size=2))
        said += [
            {"type": "tool_use", "id": known_as, "name": name, "input": given}
            for known_as, (name, given) in zip(pending, calls, strict=True)
        ]
        messages.append({"role": "assistant", "content": said or "Well."})
    return [*messages, draw(asked(pending))]


def asked(pending: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    results = st.tuples(
        *(
            fixed(
                type="tool_result",
                tool_use_id=known_as,
                content=words | st.lists(texts | images, min_size=1, max_size=2),
            )
            for known_as in pending
        )
    )
    more = st.lists(texts | images | documents, min_size=0 if pending else 1, max_size=3)
    content = st.builds(lambda found, parts: [*found, *parts], results, more)
    return st.builds(lambda said: {"role": "user", "content": said}, content if pending else content | words)


choices = fixed(type=st.sampled_from(["auto", "any"])) | fixed(type="tool", name=names)
serial = choices.map(lambda choice: choice | {"disable_parallel_tool_use": True})
tools = blocks(
    st.fixed_dictionaries(
        {"name": names, "input_schema": schemas}, optional={"description": words, "strict": st.booleans()}
    )
)
requests = st.fixed_dictionaries(
    {"model": st.just("claude-opus-4-6"), "max_tokens": st.integers(1, 10**6), "messages": rounds()},
    optional={
        "system": words | st.lists(texts, min_size=1, max_size=2),
        "stop_sequences": st.lists(words, min_size=1, max_size=3),
        "stream": st.booleans(),
        "metadata": fixed(user_id=words),
        "service_tier": st.sampled_from(["auto", "standard_only"]),
        "thinking": fixed(type="enabled", budget_tokens=st.integers(1024, 10**5))
        | fixed(type=st.sampled_from(["adaptive", "disabled"])),
        "output_config": fixed(format=fixed(type="json_schema", schema=schemas)),
        "cache_control": mark,
    },
)


top_ks = st.integers(0, 500)
sampled = st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 1), "top_k": top_ks})
sampled |= st.fixed_dictionaries({}, optional={"top_p": st.floats(0, 1), "top_k": top_ks})


@st.composite
def whole_requests(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(requests)
    if found.get("thinking") in (None, {"type": "disabled"}):
        found |= draw(sampled)
    if draw(st.booleans()):
        found["tools"] = draw(st.lists(tools, min_size=1, max_size=3))
        found |= draw(st.just({}) | st.builds(lambda choice: {"tool_choice": choice}, choices | serial))
    return found


def simplest(content: Any) -> Any:
    """One block of nothing but text and a string say the same."""
    match content:
        case [{"type": "text", "text": str(said), **more}] if not more:
            return said
        case list():
            return [
                {**block, "content": simplest(block["content"])} if block.get("type") == "tool_result" else block
                for block in content
            ]
    return content


def normal(body: dict[str, Any]) -> dict[str, Any]:
    found = {**body, "messages": [{**turn, "content": simplest(turn["content"])} for turn in body["messages"]]}
    return found | ({"system": simplest(body["system"])} if "system" in body else {})


@quick
@given(whole_requests())
def test_a_request_converted_there_and_back_is_the_same(body: dict[str, Any]) -> None:
    asked_for = surface.decode_request(json.dumps(body).encode(), {})

    wire = anthropic.encode(as_openai(asked_for), deployment(), None)

    assert json.loads(wire.body) == normal(body)
    assert wire.dropped == ()
    unsampled = {name: value for name, value in normal(body).items() if name not in ("temperature", "top_p", "top_k")}
    assert mistake(unsampled) is None


@quick
@given(whole_requests())
def test_of_the_same_dialect_nothing_is_converted(body: dict[str, Any]) -> None:
    asked_for = surface.decode_request(json.dumps(body).encode(), {"anthropic-beta": "b-1", "openai-beta": "x"})

    wire = anthropic.encode(asked_for, deployment("claude-x"), None)

    assert json.loads(wire.body) == body | {"model": "claude-x"}
    assert wire.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "b-1"}


@quick
@given(whole_requests())
def test_a_request_to_openai_says_what_it_leaves_out(body: dict[str, Any]) -> None:
    asked_for = surface.decode_request(json.dumps(body).encode(), {})

    if shows_pictures(body) or has_addressed_documents(body):
        with pytest.raises(RequestInvalid, match=r"content\[\d\].(type|file.file_url)"):
            openai.encode(asked_for, deployment("gpt-5"), None)
        return
    wire = openai.encode(asked_for, deployment("gpt-5"), None)

    of_the_request = {name for name in wire.dropped if "[" not in name}
    assert of_the_request == {"top_k", "cache_control"} & set(body)
    there = json.loads(wire.body)
    assert "thinking" not in there
    assert there["max_completion_tokens"] == body["max_tokens"]


def shows_pictures(body: dict[str, Any]) -> bool:
    """Whether a tool's result is more than text, which OpenAI does not take."""
    turns = [turn["content"] for turn in body["messages"] if isinstance(turn["content"], list)]
    results = [block["content"] for blocks in turns for block in blocks if block["type"] == "tool_result"]
    return any(part["type"] == "image" for result in results if isinstance(result, list) for part in result)


def has_addressed_documents(body: dict[str, Any]) -> bool:
    """Whether a document is somewhere else, from where OpenAI's chats do not fetch it."""
    turns = [turn["content"] for turn in body["messages"] if isinstance(turn["content"], list)]
    found = [block for blocks in turns for block in blocks if block["type"] == "document"]
    return any(document["source"]["type"] == "url" for document in found)


def test_a_document_without_a_title_has_none_elsewhere() -> None:
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    asked_for = decoded(messages=[{"role": "user", "content": [document]}])

    assert gemini.encode(asked_for, deployment("gemini-2.5-pro"), None).dropped == ()
    assert sent(as_openai(asked_for))["messages"][0]["content"] == [document]


def test_what_a_tool_found_may_be_a_document_of_text() -> None:
    found = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Blue."},
        "title": "Sky",
    }
    used = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [found]}
    turns = [("user", "Colour?"), ("assistant", [used]), ("user", [result])]
    asked_for = decoded(messages=[{"role": role, "content": content} for role, content in turns])

    there = json.loads(openai.encode(asked_for, deployment("gpt-5"), None).body)["messages"][-1]

    assert there == {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "Sky\n\nBlue."}]}


def test_the_limit_has_the_name_that_the_provider_takes() -> None:
    older = msgspec.structs.replace(PROVIDER, limit_field="max_tokens")

    there = json.loads(openai.encode(decoded(), msgspec.structs.replace(deployment(), provider=older), None).body)

    assert there["max_tokens"] == 100
    assert "max_completion_tokens" not in there


# --- unknown fields ----------------------------------------------------------------------------------------------

PLACES: dict[str, dict[str, Any]] = {
    "novel": {"novel": 1},
    "body.n": {"n": 2},
    "body.response_format": {"response_format": {"type": "text"}},
    "messages[0].novel": {"messages": [{"role": "user", "content": "x", "novel": 1}]},
    "messages[0].content[0].novel": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "novel": 1}]}]
    },
    "messages[0].content[1]": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "container_upload"}]}]
    },
    "messages[0].content[0].transformations": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "url", "url": "https://x.y/a.png"},
                        "transformations": {"a": 1},
                    }
                ],
            }
        ]
    },
    "messages[0].content[0].source.file_id": {
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]}
        ]
    },
    "messages[0].content[0].context": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "url", "url": "https://x.y/a.pdf"}, "context": "secret"}
                ],
            }
        ]
    },
    "messages[1].content[0].caller": {
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "code_execution"}}
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ]
    },
    "messages[1].role": {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "The"}]},
    "tools[0].type": {"tools": [{"type": "bash_20250124", "name": "bash"}]},
    "tools[0].defer_loading": {"tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}]},
    "tool_choice.type": {"tool_choice": {"type": "novel"}},
    "output_config.task_budget": {"output_config": {"task_budget": {"total": 5}}},
    "output_config.format": {"output_config": {"format": {"type": "novel"}}},
    "inference_geo": {"inference_geo": "eu"},
    "container": {"container": "c_1"},
    "mcp_servers": {"mcp_servers": []},
}


@pytest.mark.parametrize(("param", "fields"), PLACES.items(), ids=PLACES)
def test_what_others_have_no_form_for_is_named_by_its_place_and_splits_the_cache(
    param: str, fields: dict[str, Any]
) -> None:
    asked_for = decoded(**fields)

    assert param in asked_for.mapping
    for protocol in (openai, anthropic):
        foreign = asked_for if protocol is openai else as_openai(asked_for)
        with pytest.raises(RequestInvalid) as refused:
            protocol.encode(foreign, deployment(), None)
        assert refused.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": "standard"},
        {"metadata": {}},
        {"tools": [{"name": "f", "input_schema": {}, "defer_loading": False, "allowed_callers": ["direct"]}]},
        {"container": None},
        {"tools": [{"name": "f", "input_schema": {}, "eager_input_streaming": True}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "citations": None}]}]},
        {"messages": [{"role": "user", "content": []}]},
    ],
)
def test_what_says_nothing_is_not_refused(fields: dict[str, Any]) -> None:
    assert openai.encode(decoded(**fields), deployment(), None).dropped == ()


def test_what_may_be_missing_is_told() -> None:
    earlier = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "text", "text": "y", "citations": [{"type": "char_location"}]}]},
        {"role": "user", "content": "z"},
    ]

    hints: dict[str, Any] = {"top_k": 5, "cache_control": {"type": "ephemeral"}, "speed": "fast"}
    hints |= {"context_management": {"edits": []}, "diagnostics": {}}

    wire = openai.encode(decoded(messages=earlier, **hints), deployment(), None)

    assert set(wire.dropped) == {*hints, "messages[1].content[0].citations"}


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_versions_with_the_same_answers_make_no_other_request_of_it(version: str) -> None:
    body = b'{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}'

    assert surface.decode_request(body, {"anthropic-version": version}).forwarded == {}
    assert surface.decode_request(body, {"anthropic-version": "2030-01-01"}).forwarded != {}


def test_both_dialects_have_one_canonical_request() -> None:
    theirs = decoded(
        model="auto", system=[{"type": "text", "text": "Be brief."}], temperature=0.5, stop_sequences=["END"]
    )
    ours = request(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        temperature=0.5,
        stop=["END"],
        max_completion_tokens=100,
    )

    assert theirs.mapping == ours.mapping


# --- to Anthropic --------------------------------------------------------------------------------------------------


def test_a_turn_of_nothing_but_foreign_reasoning_is_left_away() -> None:
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [unsigned]}]

    assert sent(decoded(messages=[*turns, {"role": "user", "content": "y"}]))["messages"] == [
        {"role": "user", "content": "x"},
        {"role": "user", "content": "y"},
    ]


def test_every_request_has_a_limit() -> None:
    asked_for = request()

    assert json.loads(anthropic.encode(asked_for, deployment(max_output_tokens=777), None).body)["max_tokens"] == 777
    assert sent(request(max_tokens=9))["max_tokens"] == 9
    assert sent(request(max_tokens=9), limit=5)["max_tokens"] == 5
    assert sent(decoded(), limit=5)["max_tokens"] == 5


def test_arguments_that_are_no_object_are_kept_in_one() -> None:
    def call(arguments: str) -> dict[str, Any]:
        calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": calls}]
        found: dict[str, Any] = sent(request(messages=turns))["messages"][1]["content"][0]["input"]
        return found

    assert call("") == call("{}") == {}
    assert call('{"a": [1]}') == {"a": [1]}
    assert call("[1]") == {"INVALID_JSON": "[1]"}
    assert call('{"a": ') == {"INVALID_JSON": '{"a": '}


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_the_choice_of_a_tool_is_said_in_anthropics_words(fields: dict[str, Any], choice: Any) -> None:
    tool = {"type": "function", "function": {"name": "f"}}

    assert sent(request(tools=[tool], **fields)).get("tool_choice") == choice


@pytest.mark.parametrize(
    ("model", "version", "is_told"),
    [
        ("claude-opus-4-6", None, True),
        ("claude-opus-4-6", "2026-10-21", False),
        ("claude-3-5-haiku-latest", None, True),
        ("claude-sonnet-4-20250514", None, True),
        ("claude-opus-4-7", None, False),
        ("claude-fable-5", None, False),
        ("kimi-k2", None, True),
    ],
)
def test_only_models_that_take_them_get_sampling_parameters(model: str, version: str | None, is_told: bool) -> None:
    provider = msgspec.structs.replace(PROVIDER, api_version=version)
    here = msgspec.structs.replace(deployment(model), provider=provider)

    wire = anthropic.encode(request(temperature=0.5, top_k=3), here, None)

    there = json.loads(wire.body)
    assert ("temperature" in there, "top_k" in there) == (is_told, is_told)
    assert wire.dropped == (() if is_told else ("temperature", "top_k"))


BUDGET: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        ("claude-opus-4-6", {"temperature": 0.5, **BUDGET}, set()),
        ("claude-opus-4-6", {"temperature": 1, **BUDGET}, {"temperature"}),
        ("claude-opus-4-6", {"temperature": 0.5, "reasoning_effort": "high"}, set()),
        ("claude-haiku-4-5", {"temperature": 0.5, "reasoning_effort": "none"}, {"temperature"}),
        ("claude-3-7-sonnet-20250219", {"top_p": 0.5, "top_k": 3, **BUDGET}, set()),
        ("claude-3-7-sonnet-20250219", {"top_p": 0.97, **BUDGET}, {"top_p"}),
        ("kimi-k2", {"temperature": 0.5, "top_p": 0.5, "top_k": 3, **BUDGET}, {"temperature", "top_p", "top_k"}),
    ],
)
def test_a_model_that_thinks_samples_in_its_own_way(model: str, fields: dict[str, Any], told: set[str]) -> None:
    wire = anthropic.encode(request(**fields), deployment(model, max_output_tokens=8000), None)

    sampling = {name for name in fields if name in ("temperature", "top_p", "top_k")}
    assert sampling & set(json.loads(wire.body)) == told
    assert set(wire.dropped) == sampling - told


@pytest.mark.parametrize(
    ("model", "temperature", "dropped"),
    [
        ("claude-sonnet-4-5", 0.5, ("top_p",)),
        ("claude-sonnet-4-5", 1, ("temperature",)),
        ("claude-3-5-haiku-latest", 0.5, ()),
        ("kimi-k2", 0.5, ()),
    ],
)
def test_newer_models_get_one_of_two_sampling_parameters(model: str, temperature: float, dropped: Any) -> None:
    wire = anthropic.encode(request(temperature=temperature, top_p=0.9), deployment(model), None)

    assert wire.dropped == dropped
    assert {"temperature", "top_p"} & set(json.loads(wire.body)) == {"temperature", "top_p"} - set(dropped)


@pytest.mark.parametrize(
    ("model", "effort", "fields", "dropped"),
    [
        ("claude-3-5-haiku-latest", "high", {}, ("reasoning_effort",)),
        ("claude-3-7-sonnet-latest", "medium", {"thinking": {"type": "enabled", "budget_tokens": 8192}}, ()),
        ("kimi-k2", "medium", {"thinking": {"type": "enabled", "budget_tokens": 8192}}, ()),
        ("kimi-k2", "none", {}, ()),
        ("claude-2.1", "high", {}, ("reasoning_effort",)),
        (
            "claude-opus-5",
            "xhigh",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            (),
        ),
    ],
)
def test_effort_is_said_as_the_models_generation_takes_it(
    model: str, effort: str, fields: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    asked_for = request(reasoning_effort=effort, max_tokens=50_000)

    wire = anthropic.encode(asked_for, deployment(model), None)

    there = json.loads(wire.body)
    assert {name: there[name] for name in ("thinking", "output_config") if name in there} == fields
    assert wire.dropped == dropped


def test_a_forced_tool_call_is_made_without_thinking() -> None:
    forced = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}

    assert "thinking" not in sent(request(reasoning_effort="high", **forced))
    assert "thinking" not in sent(request(reasoning_effort="high", **forced), model="claude-haiku-4-5")


def test_of_the_tools_only_those_that_are_allowed_are_offered() -> None:
    functions = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "h")]
    allowed = [{"type": "function", "function": {"name": name}} for name in ("f", "h")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": allowed}}

    found = sent(request(tools=functions, tool_choice=choice))

    assert [tool["name"] for tool in found["tools"]] == ["f", "h"]
    assert found["tool_choice"] == {"type": "any"}


def test_the_key_goes_where_anthropic_wants_it() -> None:
    wire = anthropic.encode(request(), deployment(), None)

    headers = anthropic.authorised(wire, "http://here.invalid/v1/messages", "sk-1", NOW)

    assert headers["x-api-key"] == "sk-1"
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert "x-api-key" not in anthropic.authorised(wire, "http://here.invalid/v1/messages", None, NOW)


# --- whatever comes ------------------------------------------------------------------------------------------------

FIELDS = (
    "type text role content source data media_type url file_id id name input tool_use_id thinking signature function "
    "arguments parameters image_url file file_data cache_control format schema json_schema"
).split()
SETTINGS = (
    "max_tokens system tools tool_choice stop_sequences thinking output_config metadata stream stop user "
    "response_format reasoning_effort temperature top_k cache_control service_tier parallel_tool_calls"
).split()
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["text", "user", "tool", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | names, inner, max_size=4),
    max_leaves=12,
)
insides = st.dictionaries(st.sampled_from(FIELDS), values, max_size=4)
kinds = st.sampled_from(
    "text image document thinking tool_use tool_result image_url file search_result refusal".split()
)
wild_blocks = st.builds(lambda block, kind: {**block, "type": kind}, insides, kinds) | values
wild_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer"])},
        optional={
            "content": words | st.lists(wild_blocks, max_size=3) | values,
            "tool_calls": values | st.lists(values, max_size=2),
            "tool_call_id": values,
            "thinking_blocks": values,
        },
    ),
    max_size=3,
)
wild = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": wild_messages | values}, optional=dict.fromkeys(SETTINGS, values)
)


@quick
@given(wild, st.booleans())
def test_whatever_a_client_sends_is_a_request_or_a_named_mistake(body: dict[str, Any], has_limit: bool) -> None:
    raw = json.dumps(body | ({"max_tokens": 5} if has_limit else {})).encode()
    try:
        asked_for = surface.decode_request(raw, {})
    except RequestInvalid:
        return
    assert is_named_if_refused(anthropic, asked_for)
    assert is_named_if_refused(anthropic, as_openai(asked_for))
    assert is_named_if_refused(openai, asked_for)


@quick
@given(wild)
def test_whatever_an_openai_client_sends_is_a_request_or_a_named_mistake(body: dict[str, Any]) -> None:
    try:
        asked_for = request(**body)
    except RequestInvalid:
        return
    assert is_named_if_refused(anthropic, asked_for)


def is_named_if_refused(protocol: Any, asked_for: ChatRequest) -> bool:
    try:
        wire = protocol.encode(asked_for, deployment(), None)
    except RequestInvalid as refused:
        return refused.param is not None
    return isinstance(json.loads(wire.body), dict)


@quick
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestInvalid):
        surface.decode_request(raw, {})
