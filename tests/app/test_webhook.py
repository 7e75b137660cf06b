"""A webhook's signature: only what was signed with the secret, just now and for the first time, is believed."""

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database import CACHE_MIGRATIONS, open_database
from app.errors import WebhookInvalid, WebhookUnderWay
from app.settings import WEBHOOK, Settings, SettingsInvalid, from_mapping
from app.webhook import TOLERANCE_S, Received, signature, signing_key, verified_id

NOW = 1_700_000_000
BODY = b'{"tags":["prices"]}'
KEY = bytes(range(32))


def signed(
    key: bytes = KEY, *, webhook_id: str = "msg_1", at: int | str = NOW, body: bytes = BODY, **other: str
) -> dict[str, str]:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(at)}
    return headers | {"webhook-signature": signature(key, webhook_id, str(at), body)} | other


def refused(headers: Mapping[str, str], body: bytes = BODY, now: float = NOW) -> str:
    with pytest.raises(WebhookInvalid) as raised:
        verified_id(KEY, headers, body, now)
    return str(raised.value)


def test_the_example_of_the_specification_verifies() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verified_id(key, headers, b'{"test": 2432232314}', 1614265330) == headers["webhook-id"]


@pytest.mark.parametrize("late_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_what_was_signed_just_now_is_believed(late_s: int) -> None:
    assert verified_id(KEY, signed(), BODY, NOW + late_s) == "msg_1"


@pytest.mark.parametrize("late_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**8])
def test_an_old_or_early_timestamp_is_refused(late_s: int) -> None:
    assert "webhook-timestamp" in refused(signed(), now=NOW + late_s)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_every_header_is_needed(name: str, value: str | None) -> None:
    headers = {known: text for known, text in signed().items() if known != name or value is not None}
    refused(headers | ({name: value} if value is not None else {}))


def test_one_of_several_signatures_is_enough_while_the_secret_is_changed() -> None:
    good = signed()["webhook-signature"]
    both = f"v1,{base64.b64encode(bytes(32)).decode()} {good}"
    assert verified_id(KEY, signed() | {"webhook-signature": both}, BODY, NOW) == "msg_1"


GOOD = signed()["webhook-signature"]


@pytest.mark.parametrize(
    "given",
    ["v1,", "v1", "v2" + GOOD[2:], "v1a" + GOOD[2:], GOOD[:-1], GOOD.lower(), GOOD[3:], "v1,ü", "x" * 10_000],
)
def test_another_signature_is_refused(given: str) -> None:
    assert "webhook-signature" in refused(signed() | {"webhook-signature": given})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed(bytes(32)), BODY),
        (signed(), BODY + b" "),
        (signed(), b""),
        (signed() | {"webhook-id": "msg_2"}, BODY),
        (signed() | {"webhook-timestamp": str(NOW + 1)}, BODY),
    ],
    ids=["another key", "another body", "no body", "another id", "another time"],
)
def test_everything_that_was_signed_must_be_as_it_was(headers: dict[str, str], body: bytes) -> None:
    refused(headers, body)


@pytest.mark.parametrize("at", ["now", "1e9", "-5", "1700000000.0", " 1700000000x", "١٧٠٠٠٠٠٠٠٠", "9" * 30])
def test_a_timestamp_is_in_whole_seconds(at: str) -> None:
    refused(signed(at=at))


def test_an_id_has_a_length_that_can_be_remembered() -> None:
    refused(signed(webhook_id="m" * 257))


def test_no_refusal_tells_what_would_have_fitted() -> None:
    assert GOOD[3:] not in refused(signed() | {"webhook-signature": "v1,x"})


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_secret_is_whsec_and_base64(length: int) -> None:
    key = os.urandom(length)
    assert signing_key("whsec_" + base64.b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        base64.b64encode(KEY).decode(),
        "whsec_" + base64.b64encode(KEY[:23]).decode(),
        "whsec_" + base64.b64encode(KEY * 3).decode(),
        "whsec_not base64!",
        "whsec_ü",
        "WHSEC_" + base64.b64encode(KEY).decode(),
    ],
)
def test_another_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_") as raised:
        signing_key(secret)
    assert len(secret) < 7 or secret not in str(raised.value)


# --- replays ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cache_file(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path / "cache.db", CACHE_MIGRATIONS)
    yield engine
    engine.dispose()


def test_an_id_is_obeyed_once(cache_file: sa.Engine) -> None:
    received = Received(cache_file)
    for webhook_id in ("msg_1", "msg_2"):
        assert received.take(webhook_id, NOW)
        received.keep(webhook_id, NOW)
    assert not received.take("msg_1", NOW + 1)


def test_while_an_id_is_being_obeyed_nobody_is_told_that_it_was(cache_file: sa.Engine) -> None:
    received = Received(cache_file)
    received.take("msg_1", NOW)
    with pytest.raises(WebhookUnderWay):
        received.take("msg_1", NOW + 1)
    received.keep("msg_1", NOW + 2)
    assert not received.take("msg_1", NOW + 3)


@pytest.mark.parametrize("ahead_s", [-TOLERANCE_S, 0, TOLERANCE_S])
@pytest.mark.parametrize("restarts", [False, True])
def test_an_id_is_remembered_as_long_as_its_signature_is_good(
    cache_file: sa.Engine, ahead_s: int, restarts: bool
) -> None:
    """Whatever the sender's clock says, after a restart too: it is known as a repetition, or refused for its
    timestamp."""
    received, headers = Received(cache_file), signed(at=NOW + ahead_s)
    webhook_id = verified_id(KEY, headers, BODY, NOW)
    received.take(webhook_id, NOW)
    received.keep(webhook_id, NOW)
    for later in range(0, 3 * TOLERANCE_S, 10):
        received = Received(cache_file) if restarts else received
        with suppress(WebhookInvalid):
            assert not received.take(verified_id(KEY, headers, BODY, NOW + later), NOW + later)


def test_what_was_not_obeyed_before_a_restart_may_be_sent_again(cache_file: sa.Engine) -> None:
    assert Received(cache_file).take("msg_1", NOW)
    assert Received(cache_file).take("msg_1", NOW + 1)


def test_what_could_not_be_obeyed_may_be_sent_again(cache_file: sa.Engine) -> None:
    received = Received(cache_file)
    received.take("msg_1", NOW)
    received.drop("msg_1")
    assert received.take("msg_1", NOW)


def test_ids_are_forgotten_in_the_end(cache_file: sa.Engine) -> None:
    received = Received(cache_file)
    for at in range(0, 4 * TOLERANCE_S, 10):
        received.take(f"msg_{at}", NOW + at)
        received.keep(f"msg_{at}", NOW + at)
    assert len(received._until) == len(Received(cache_file)._until) == 2 * TOLERANCE_S // 10 + 1


# --- settings --------------------------------------------------------------------------------------------------


def settings_with(reference: str, **environment: str) -> Settings:
    return from_mapping({"cache": {"webhook_secret": reference}}, "test", environment)


def test_the_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    assert settings_with("env:CMS", CMS=secret).secrets == {WEBHOOK: secret}
    assert settings_with(f"file:{file}").secrets == {WEBHOOK: secret}
    assert WEBHOOK not in from_mapping({}, "test", {}).secrets


@pytest.mark.parametrize("secret", ["", "hunter2-hunter2-hunter2", "whsec_c2hvcnQ=", "whsec_ü"])
def test_a_secret_that_cannot_be_one_is_a_problem_of_the_configuration(secret: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"cache\.webhook_secret: ") as raised:
        settings_with("env:CMS", CMS=secret)
    assert not secret or secret not in str(raised.value)


def test_the_secret_itself_does_not_belong_into_the_file() -> None:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    with pytest.raises(SettingsInvalid, match=r"cache\.webhook_secret: must be") as raised:
        settings_with(secret)
    assert secret not in str(raised.value)
