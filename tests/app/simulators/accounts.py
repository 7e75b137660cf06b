"""Where credentials come from, on loopback: Google's token endpoint, and the endpoint that containers on AWS have.

Both count what they give, and say how long it lasts. The token endpoint checks who asks: the signature of the service
account whose key file it makes.
"""

import itertools
import json
import time
from base64 import urlsafe_b64decode
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from tests.app.provider import Call, Provider, Received, Reply, json_reply, running

ACCOUNT: Final = "gateway@a-project.iam.gserviceaccount.com"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Accounts(Provider):
    """Gives credentials that last `lasts_s`, unless it `refuses`."""

    def __init__(self) -> None:
        super().__init__()
        self.lasts_s = 3600.0
        self.refuses = False
        self.given: dict[str, float] = {}
        """Access token or key id -> when it ends."""
        self._numbers = itertools.count(1)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        super().reset()
        self.lasts_s, self.refuses, self.given = 3600.0, False, {}

    def is_good(self, known_as: str) -> bool:
        return self.given.get(known_as, 0.0) > time.time()

    def take(self, received: Received) -> tuple[Call, Reply]:
        call = Call(received)
        self.calls.append(call)
        return call, self._answer(received)

    def _answer(self, received: Received) -> Reply:
        raise NotImplementedError

    def _give(self, prefix: str) -> str:
        known_as = f"{prefix}{next(self._numbers):08d}"
        self.given[known_as] = time.time() + self.lasts_s
        return known_as


class GoogleAccounts(Accounts):
    """`POST /token`, and the key file of the one account that may ask."""

    def __init__(self) -> None:
        super().__init__()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def write_key(self, path: Path) -> Path:
        """The service account's key file, as the console gives it."""
        private = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "key-1",
            "private_key": private.decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.root}/token",
        }
        path.write_text(json.dumps(account), encoding="utf-8")
        return path

    def _answer(self, received: Received) -> Reply:
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        if self.refuses or received.target != "/token" or form.get("grant_type") != _GRANT or not self._knows(form):
            return json_reply({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        token = self._give("ya29.access-token-")
        return json_reply({"access_token": token, "expires_in": int(self.lasts_s), "token_type": "Bearer"})

    def _knows(self, form: dict[str, str]) -> bool:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        verifier: Any = crypt.RSAVerifier.from_string(public)  # type: ignore[no-untyped-call]
        signed, _, signature = form["assertion"].rpartition(".")
        claims: Any = jwt.decode(form["assertion"], verify=False)  # type: ignore[no-untyped-call]
        is_signed = verifier.verify(signed.encode(), urlsafe_b64decode(signature + "=="))
        return is_signed and claims["iss"] == ACCOUNT and _SCOPE in claims["scope"].split()


class ContainerAccounts(Accounts):
    """`GET /credentials` with the container's own token: access keys with a session token and their end."""

    TOKEN: Final = "container-authorization-only"

    @property
    def environment(self) -> dict[str, str]:
        """What a container has. Nothing else of this machine is looked at."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.root}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.TOKEN,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent/config",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
        }

    def secret_of(self, access_key: str) -> str:
        return f"secret-of-{access_key}"

    def token_of(self, access_key: str) -> str:
        return f"session-of-{access_key}=="

    def _answer(self, received: Received) -> Reply:
        is_ours = received.target == "/credentials" and received.headers.get("authorization") == self.TOKEN
        if self.refuses or not is_ours:
            return json_reply({"code": "AccessDenied", "message": f"not for {self.TOKEN}"}, 403)
        key = self._give("ASIA")
        end = datetime.fromtimestamp(self.given[key], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {"AccessKeyId": key, "SecretAccessKey": self.secret_of(key), "Token": self.token_of(key)}
        return json_reply({**found, "Expiration": end})


def running_google_accounts() -> AbstractContextManager[GoogleAccounts]:
    return running(GoogleAccounts())


def running_container_accounts() -> AbstractContextManager[ContainerAccounts]:
    return running(ContainerAccounts())


class Sts(Accounts):
    """AWS's token service: credentials of a role, for who brings an identity's token or signs with keys."""

    IDENTITY: Final = "identity-token-only"

    def _answer(self, received: Received) -> Reply:
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        action = form.get("Action", "")
        is_known = form.get("WebIdentityToken") == self.IDENTITY or "Signature=" in received.headers.get(
            "authorization", ""
        )
        if not is_known or action not in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            return [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"]
        key = self._give("ASIA")
        end = datetime.fromtimestamp(self.given[key], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>session</SessionToken><Expiration>{end}</Expiration>"
            f"</Credentials></{action}Result></{action}Response>"
        ).encode()
        return [b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: %d\r\n\r\n" % len(body) + body]


class InstanceAccounts(Accounts):
    """The metadata service of a machine on AWS, in its second version: a session first, then the role's credentials."""

    SESSION: Final = "metadata-session"
    _PATH: Final = "/latest/meta-data/iam/security-credentials/"

    def _answer(self, received: Received) -> Reply:
        if (received.method, received.target) == ("PUT", "/latest/api/token"):
            return _text(self.SESSION)
        if received.headers.get("x-aws-ec2-metadata-token") != self.SESSION:
            return json_reply({}, 401)
        if received.target == self._PATH:
            return _text("a-role")
        key = self._give("ASIA")
        end = datetime.fromtimestamp(self.given[key], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {"AccessKeyId": key, "SecretAccessKey": "secret", "Token": "session", "Expiration": end}
        return json_reply({"Code": "Success", "Type": "AWS-HMAC", **found})


def _text(said: str) -> Reply:
    return [f"HTTP/1.1 200 OK\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode()]
