"""Bad input: the right status, one error body that names the field, nothing stored, nothing lost."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, SECRET, budget, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider
from tests.running import SIMULATED, RunningGateway, running_gateway

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    text = "max_body_mib = 1\n" + scripted(upstream) + route("default") + budget("teams.support", 10**12)
    with running_gateway(tmp_path_factory.mktemp("bad"), text, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture(autouse=True)
def unharmed(gateway: RunningGateway, key: str, provider: Provider) -> Iterator[None]:
    """After every test: no call was made, no row or entry, nothing reserved, and the next request is served."""
    before = len(gateway.rows())
    yield
    assert provider.calls == []
    assert len(gateway.rows()) == before
    status = gateway.status()
    assert (status["cache"]["entries"], status["cache"]["in_flight"]) == (0, 0)
    assert status["budgets"][0]["reserved_nano"] == 0
    served = gateway.chat(key, "Are you still there?", model="small", headers={"cache-control": "no-store"})
    assert served.status_code == 200


def post(gateway: RunningGateway, body: bytes | str, key: str | None, **headers: str) -> httpx.Response:
    sent = {"authorization": f"Bearer {key}"} if key else {}
    content = body.encode() if isinstance(body, str) else body
    return gateway.request("POST", CHAT, content=content, headers=sent | headers)


def chat(**fields: Any) -> str:
    return json.dumps({"model": "large", "messages": [{"role": "user", "content": "Hello there."}]} | fields)


# --- the body --------------------------------------------------------------------------------------------------

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "half": b'{"model": "large", "messages": [',
    "two": chat().encode() * 2,
    "single quotes": b"{'model': 'large'}",
    "nan": chat(temperature=0).replace("0", "NaN").encode(),
    "comment": b"// hi\n" + chat().encode(),
    "trailing comma": chat().replace("}]}", "},]}").encode(),
    "utf-16": chat().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + chat().encode(),
    "invalid utf-8": b'{"model": "large", "messages": [{"role": "user", "content": "\xc3("}]}',
    "utf-8 cut in a character": b'{"model": "large", "messages": [{"role": "user", "content": "\xf0\x9f\x98',
    "overlong utf-8": b'{"model": "large", "messages": [{"role": "user", "content": "\xc0\xaf"}]}',
    "surrogate in utf-8": b'{"model": "large", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    "half a surrogate pair": chat().replace("Hello", "\\ud83d").encode(),
    "control character": chat().replace("Hello", "\x00").encode(),
    "a form": b"model=large&messages=hello",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused_as_such(gateway: RunningGateway, key: str, body: bytes) -> None:
    error = openai_error(post(gateway, body, key), 400, param=None)
    assert "JSON" in error["message"]


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5", "[1]"])
def test_json_that_is_no_object_is_refused(gateway: RunningGateway, key: str, body: str) -> None:
    assert "object" in openai_error(post(gateway, body, key), 400, param=None)["message"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "model a number": ({"model": 5}, "model"),
    "model null": ({"model": None}, "model"),
    "model empty": ({"model": ""}, "model"),
    "model a list": ({"model": ["large"]}, "model"),
    "messages null": ({"messages": None}, "messages"),
    "messages a text": ({"messages": "hello"}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "message a text": ({"messages": ["hello"]}, "messages[0]"),
    "role missing": ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    "role a number": ({"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role"),
    "content missing": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "content null": ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    "content a number": ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    "content an object": ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
    "part without type": ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0].type"),
    "part a text": ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
    "stream a text": ({"stream": "yes"}, "stream"),
    "stream a number": ({"stream": 1}, "stream"),
    "stream options a list": ({"stream": True, "stream_options": []}, "stream_options"),
    "usage option a text": ({"stream": True, "stream_options": {"include_usage": "y"}}, "stream_options.include_usage"),
    "limit zero": ({"max_tokens": 0}, "max_tokens"),
    "limit negative": ({"max_completion_tokens": -1}, "max_completion_tokens"),
    "limit a fraction": ({"max_tokens": 1.5}, "max_tokens"),
    "limit a text": ({"max_tokens": "100"}, "max_tokens"),
    "limit beyond all models": ({"max_completion_tokens": 10**18}, "max_completion_tokens"),
    "limit beyond 64 bits": ({"max_tokens": 10**30}, "max_tokens"),
    "choices zero": ({"n": 0}, "n"),
    "choices many": ({"n": 129}, "n"),
    "temperature a text": ({"temperature": "hot"}, "temperature"),
    "top_p a list": ({"top_p": []}, "top_p"),
    "stop a number": ({"stop": 5}, "stop"),
    "user a number": ({"user": 5}, "user"),
    "metadata a text": ({"metadata": "x"}, "metadata"),
    "tools an object": ({"tools": {}}, "tools"),
    "tool a text": ({"tools": ["x"]}, "tools[0]"),
    "response format a text": ({"response_format": "json"}, "response_format"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_a_field_of_the_wrong_kind_is_named(
    gateway: RunningGateway, key: str, fields: dict[str, Any], param: str, streams: bool
) -> None:
    error = openai_error(post(gateway, chat(**({"stream": streams} | fields)), key), 400, param=param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_field_that_is_missing_is_named(gateway: RunningGateway, key: str, field: str) -> None:
    body = {name: value for name, value in json.loads(chat()).items() if name != field}
    assert field in openai_error(post(gateway, json.dumps(body), key), 400, param=field)["message"]


def test_the_message_that_is_wrong_is_named_by_its_index(gateway: RunningGateway, key: str) -> None:
    messages = [{"role": "user", "content": "fine"}, {"role": "user", "content": 5}]
    openai_error(post(gateway, chat(messages=messages), key), 400, param="messages[1].content")


DEEP: dict[str, str] = {
    "arrays": "[" * 100_000,
    "closed arrays": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 100_000,
    "in a field": chat(novel=0).replace('"novel": 0', '"novel": ' + "[" * 50_000 + "]" * 50_000),
    "in a message": chat().replace('"Hello there."', '"x", "novel": ' + '{"a":' * 50_000 + "1" + "}" * 50_000),
}


@pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
def test_a_body_that_is_nested_too_deeply_is_refused(gateway: RunningGateway, key: str, body: str) -> None:
    assert "deep" in openai_error(post(gateway, body, key), 400)["message"]


@pytest.mark.parametrize("length", [MIB + 1, 3 * MIB, 40 * MIB], ids=["a byte", "thrice", "forty times"])
def test_a_body_that_is_too_large_is_refused(gateway: RunningGateway, key: str, length: int) -> None:
    error = openai_error(post(gateway, b" " * length, key), 413, "request_too_large")
    assert "max_body_mib" in error["message"]


def test_a_large_body_that_does_not_tell_its_length_is_refused(gateway: RunningGateway, key: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = gateway.request("POST", CHAT, content=parts(), headers={"authorization": f"Bearer {key}"})
    openai_error(answer, 413, "request_too_large")


@pytest.mark.parametrize("name", ["gpt-99", "LARGE", "large ", "large-2025", "simulated/large", "🤖", "../large"])
def test_a_model_that_the_route_does_not_offer_is_unknown(gateway: RunningGateway, key: str, name: str) -> None:
    error = openai_error(post(gateway, chat(model=name), key), 404, "model_not_found", "model")
    assert "large, medium, small" in error["message"]


# --- who asks --------------------------------------------------------------------------------------------------

WRONG_KEYS: dict[str, str | None] = {
    "missing": None,
    "empty": "",
    "only a scheme": "Bearer",
    "unknown": "Bearer tg-0123456789",
    "another scheme": "Basic dGVzdDp0ZXN0",
    "without a scheme": "tg-0123456789",
    "not ascii": "Bearer tg-ü",
    "long": "Bearer " + "x" * 20_000,
}


@pytest.mark.parametrize("authorization", WRONG_KEYS.values(), ids=WRONG_KEYS)
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("POST", "/v1/feedback"), ("GET", "/v1/models")])
def test_without_a_valid_key_nobody_gets_in(
    gateway: RunningGateway, method: str, path: str, authorization: str | None
) -> None:
    headers = {"authorization": authorization.encode("latin-1")} if authorization is not None else {}
    answer = gateway.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
    openai_error(answer, 401, "invalid_api_key")


def test_a_key_with_its_last_character_changed_is_unknown(gateway: RunningGateway, key: str) -> None:
    openai_error(post(gateway, chat(), key[:-1] + ("A" if key[-1] != "A" else "B")), 401, "invalid_api_key")


def test_a_revoked_key_ends_at_once(gateway: RunningGateway) -> None:
    made = gateway.admin("POST", "/admin/keys", team="sales", app="bot")
    assert gateway.request("GET", "/v1/models", headers={"authorization": f"Bearer {made['secret']}"}).is_success
    gateway.admin("DELETE", f"/admin/keys/{made['key']['id']}")
    openai_error(post(gateway, chat(), made["secret"]), 401, "invalid_api_key")


def test_an_expired_key_says_that_it_has_expired(gateway: RunningGateway) -> None:
    made = gateway.admin("POST", "/admin/keys", team="sales", app="bot", expires_us=1)
    assert "expired" in openai_error(post(gateway, chat(), made["secret"]), 401, "invalid_api_key")["message"]


def test_the_development_key_opens_nothing_where_a_provider_is_real(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(SIMULATED, **ENVIRONMENT)
    key = gateway.development_key
    assert gateway.chat(key, "Where is the remote control?").status_code == 200
    gateway.stop()
    real = f"{scripted(provider)}\n[providers.simulated.simulation]\n{route('default')}"
    gateway.configuration.write_text(gateway.configuration.read_text().replace(SIMULATED, real))

    gateway.start()

    error = openai_error(gateway.chat(key, "Where is the remote control?"), 401, "invalid_api_key")
    assert "simulated provider" in error["message"]
    assert provider.calls == []


def test_a_key_whose_route_was_taken_away_says_so(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(scripted(provider) + route("default") + route("former"), **ENVIRONMENT)
    key = gateway.key(route="former")
    gateway.stop()
    gateway.configuration.write_text(gateway.configuration.read_text().replace("routes.former", "routes.new"))

    gateway.start()

    answers = [
        gateway.chat(key, "Where does this route lead?", model="large"),
        gateway.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"}),
    ]
    for answer in answers:
        assert "former" in openai_error(answer, 403)["message"]


# --- methods, paths, headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/chat", "/v1/completions", "/v1/chat/completions/x", "/admin", "/admin/secrets", "/%00"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(gateway: RunningGateway, key: str, method: str, path: str) -> None:
    answer = gateway.request(method, path, headers={"authorization": f"Bearer {key}"})
    openai_error(answer, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT),
        ("PUT", CHAT),
        ("DELETE", CHAT),
        ("PATCH", CHAT),
        ("POST", "/v1/models"),
        ("POST", "/health/live"),
        ("POST", "/metrics"),
        ("DELETE", "/admin/status"),
        ("PUT", "/admin/keys"),
    ],
)
def test_a_path_does_not_take_another_method(gateway: RunningGateway, key: str, method: str, path: str) -> None:
    answer = gateway.request(method, path, headers={"authorization": f"Bearer {key}"})
    openai_error(answer, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "labels", ["faq", "=x", "a=1,b", "a=1,,=", "use-case", "a" * 600 + "=" + "b" * 600], ids=lambda text: text[:10]
)
def test_bad_labels_are_named(gateway: RunningGateway, key: str, labels: str) -> None:
    openai_error(post(gateway, chat(), key, **{"x-thriftgate-labels": labels}), 400, param="x-thriftgate-labels")


# --- the admin API ---------------------------------------------------------------------------------------------

ADMIN = [
    ("GET", "/admin/status"),
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys"),
    ("DELETE", "/admin/keys/key_1"),
    ("POST", "/admin/cache/purge"),
    ("POST", "/admin/cache/invalidate"),
    ("GET", "/admin/cache/certificates"),
    ("GET", "/admin/cache/doubts"),
    ("POST", "/admin/cache/doubts/1"),
    ("POST", "/admin/cache/warm"),
    ("GET", "/admin/cache/export"),
    ("POST", "/admin/cache/import"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN)
@pytest.mark.parametrize("token", [None, "wrong", "ü", "a virtual key"])
def test_only_the_admin_token_opens_the_admin_api(
    gateway: RunningGateway, key: str, method: str, path: str, token: str | None
) -> None:
    given = key if token == "a virtual key" else token
    headers = {"authorization": f"Bearer {given}".encode("latin-1")} if given is not None else {}
    openai_error(gateway.request(method, path, headers=headers), 401, "invalid_admin_token")


def test_the_admin_token_is_no_key(gateway: RunningGateway) -> None:
    openai_error(post(gateway, chat(), gateway.admin_token), 401, "invalid_api_key")


BAD_ADMIN: dict[str, tuple[str, str, bytes]] = {
    "not json": ("POST", "/admin/keys", b"{"),
    "not utf-8": ("POST", "/admin/keys", b'{"team": "\xff"}'),
    "deep": ("POST", "/admin/keys", b"[" * 100_000),
    "team missing": ("POST", "/admin/keys", b'{"app": "x"}'),
    "team a number": ("POST", "/admin/keys", b'{"team": 5, "app": "x"}'),
    "team with a slash": ("POST", "/admin/keys", b'{"team": "a/b", "app": "x"}'),
    "team empty": ("POST", "/admin/keys", b'{"team": "", "app": "x"}'),
    "team long": ("POST", "/admin/keys", json.dumps({"team": "a" * 65, "app": "x"}).encode()),
    "app with a control character": ("POST", "/admin/keys", b'{"team": "a", "app": "x\\n"}'),
    "unknown field": ("POST", "/admin/keys", b'{"team": "a", "app": "x", "roles": []}'),
    "unknown route": ("POST", "/admin/keys", b'{"team": "a", "app": "x", "route": "nowhere"}'),
    "purge nothing": ("POST", "/admin/cache/purge", b"{}"),
    "purge by number": ("POST", "/admin/cache/purge", b'{"team": 5}'),
    "purge unknown": ("POST", "/admin/cache/purge", b'{"colour": "x"}'),
    "invalidate nothing": ("POST", "/admin/cache/invalidate", b'{"all": false}'),
    "invalidate an empty tag": ("POST", "/admin/cache/invalidate", b'{"tag": ""}'),
    "invalidate by a text group": ("POST", "/admin/cache/invalidate", b'{"group": "x"}'),
    "warm nothing": ("POST", "/admin/cache/warm", b'{"team": "a", "route": "default", "items": []}'),
    "warm an unknown route": (
        "POST",
        "/admin/cache/warm",
        b'{"team": "a", "route": "nowhere", "items": [{"question": "How?", "answer": "So."}]}',
    ),
    "warm a bad team": (
        "POST",
        "/admin/cache/warm",
        b'{"team": "a/b", "route": "default", "items": [{"question": "How?", "answer": "So."}]}',
    ),
    "warm one bad item": (
        "POST",
        "/admin/cache/warm",
        b'{"team": "a", "route": "default", "items": [{"question": "How?", "answer": "So."}, {"question": "Why?"}]}',
    ),
    "import nothing": ("POST", "/admin/cache/import", b""),
    "import something else": ("POST", "/admin/cache/import", b'{"question": "How?"}'),
    "list doubts without end": ("GET", "/admin/cache/doubts?limit=0", b""),
    "list doubts by a word": ("GET", "/admin/cache/doubts?limit=all", b""),
    "rule by mood": ("POST", "/admin/cache/doubts/1", b'{"ruling": "maybe"}'),
    "no such key": ("DELETE", "/admin/keys/key_none", b""),
}


def admin(gateway: RunningGateway, method: str, path: str, body: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {gateway.admin_token}"}
    return gateway.request(method, path, content=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "body"), BAD_ADMIN.values(), ids=BAD_ADMIN)
def test_a_bad_admin_request_changes_nothing(gateway: RunningGateway, method: str, path: str, body: bytes) -> None:
    keys = gateway.admin("GET", "/admin/keys")
    openai_error(admin(gateway, method, path, body), 400)
    assert gateway.admin("GET", "/admin/keys") == keys


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/admin/cache/doubts/1", {"ruling": "maybe"}, "Known: right, wrong."),
        ("/v1/feedback", {"request_id": "req_1", "thumb": "sideways"}, "Known: down, up."),
        ("/v1/embeddings", {"model": "a", "input": "Hi", "encoding_format": "x"}, "Known: base64, float."),
        (
            "/v1/messages",
            {"model": "a", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}], "service_tier": "x"},
            "Known: auto, standard_only.",
        ),
    ],
)
def test_of_a_field_that_takes_some_words_only_these_are_named(
    gateway: RunningGateway, key: str, path: str, body: dict[str, Any], words: str
) -> None:
    token = gateway.admin_token if path.startswith("/admin") else key
    refused = gateway.request("POST", path, json=body, headers={"authorization": f"Bearer {token}"})
    assert refused.status_code == 400
    assert words in refused.json()["error"]["message"]


def test_an_expiry_that_the_file_cannot_hold_is_refused(gateway: RunningGateway) -> None:
    body = b'{"team": "a", "app": "x", "expires_us": 99999999999999999999}'
    openai_error(admin(gateway, "POST", "/admin/keys", body), 400)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"team": 5, "app": "x"}', "team"),
        (b'{"app": "x"}', "team"),
        (b'{"team": "a", "app": "x", "expires_us": "soon"}', "expires_us"),
        (b'{"team": "a/b", "app": "x"}', "team"),
    ],
)
def test_a_bad_admin_field_is_named(gateway: RunningGateway, body: bytes, param: str) -> None:
    openai_error(admin(gateway, "POST", "/admin/keys", body), 400, param=param)


# --- below HTTP ------------------------------------------------------------------------------------------------

POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
GARBAGE: dict[str, bytes] = {
    "not http": b"hello\r\n\r\n",
    "binary": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bad length": POST + b"content-length: many\r\n\r\n{}",
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "bad chunk": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "length and chunks": POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad header": b"GET /v1/models HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n",
    "null in a header": b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
    "endless header": b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_not_http_is_refused_and_hurts_nobody(gateway: RunningGateway, data: bytes) -> None:
    try:
        answer = gateway.send(data)
    except ConnectionError:
        return  # hung up before it had read all: as good an answer as any
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 431"))
    assert b"Traceback" not in answer


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat/comp", b"POST /v1/chat/completions HTTP/1.1\r\ncontent-le"])
def test_who_hangs_up_in_the_middle_of_a_request_hurts_nobody(gateway: RunningGateway, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(sent)


def test_who_hangs_up_in_the_middle_of_a_body_leaves_no_trace(gateway: RunningGateway, key: str) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 5000\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(head.encode() + chat().encode())
            assert gateway.status()
    assert gateway.status()


# --- one server for each data folder ---------------------------------------------------------------------------


def test_a_second_server_on_the_same_data_folder_is_refused(gateway: RunningGateway, key: str) -> None:
    second = gateway.command("serve", "--port", "0")

    assert second.returncode != 0
    assert str(gateway.pid) in second.stderr
    assert "in use" in second.stderr
    assert str(gateway.data_dir) in "".join(second.stderr.split("\n"))
    assert "Traceback" not in second.stderr
    assert gateway.status()["ready"]
    assert gateway.command("status").returncode == 0  # its address is still known


# --- what nobody may see ---------------------------------------------------------------------------------------


def test_the_upstream_key_is_nowhere_in_the_log(gateway: RunningGateway, key: str) -> None:
    assert SECRET not in gateway.log
    assert key not in gateway.log
    assert gateway.admin_token not in gateway.log
