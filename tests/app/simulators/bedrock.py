"""Bedrock's runtime API as a scripted provider: Converse, and ConverseStream as a binary event stream.

It turns away what the real one would: a signature that does not fit the request, a bearer token that is not its own,
and whatever the service description that botocore ships does not know.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from botocore.loaders import Loader  # type: ignore[import-untyped]
from botocore.model import ServiceModel  # type: ignore[import-untyped]
from botocore.validate import ParamValidator  # type: ignore[import-untyped]

from tests.app.provider import Provider, Received, Reply, Step, json_reply, running, stream_reply

REGION: Final = "eu-central-1"
ACCESS_KEY: Final = "AKIAUPSTREAMONLY"
SECRET: Final = "upstream/secret+only-for-the-provider"
TOKEN: Final = "upstream/session/token=="
BEARER: Final = "bedrock-api-key-upstream-only"
_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/bedrock/aws4_request, "
    r"SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_MEDIA_TYPE: Final = b"content-type: application/vnd.amazon.eventstream\r\n"


@dataclass(frozen=True)
class BedrockReceived(Received):
    """A request whose model and method stand in its path: `/model/MODEL/converse`."""

    @property
    def model(self) -> str:
        return unquote(self.target.split("/")[2])

    @property
    def streams(self) -> bool:
        return self.target.endswith("/converse-stream")

    @property
    def text(self) -> str:
        return str(self.json["messages"][-1]["content"][-1].get("text"))


class Bedrock(Provider):
    """Answers `POST /model/MODEL/converse` and `/model/MODEL/converse-stream` by script. `account` gives the secret of
    an access key that is good, and None for any other."""

    def __init__(self, account: Callable[[str], str | None] = {ACCESS_KEY: SECRET}.get) -> None:
        super().__init__()
        self._account = account

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reading(self, received: Received) -> Received:
        return BedrockReceived(received.method, received.target, received.headers, received.body)

    def fault(self, received: Received) -> Reply | None:
        return _fault(received, self._account)


def _fault(asked: Received, account: Callable[[str], str | None]) -> Reply | None:
    """What the real one would refuse."""
    authorization = asked.headers.get("authorization", "")
    if authorization.startswith("Bearer "):
        is_known = authorization == f"Bearer {BEARER}"
    else:
        is_known = _is_signed(asked, authorization, account)
    if not is_known:
        return failure(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    report = ParamValidator().validate({**asked.json, "modelId": asked.model}, _request_shape())
    return failure(400, "ValidationException", report.generate_report()) if report.has_errors() else None


def _is_signed(asked: Received, authorization: str, account: Callable[[str], str | None]) -> bool:
    """Whether the signature is the one that botocore computes from what has arrived."""
    said = _SIGNED.fullmatch(authorization)
    secret = account(said["key"]) if said is not None else None
    if said is None or secret is None or said["region"] != REGION:
        return False
    signed = {name: asked.headers[name] for name in said["headers"].split(";")}
    url = f"http://{asked.headers['host']}{asked.target}"
    request = AWSRequest(asked.method, url, headers=signed, data=asked.body)
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(said["key"], secret), "bedrock", REGION)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return bool(signer.signature(to_sign, request) == said["signature"])


@cache
def _request_shape() -> Any:
    description = Loader().load_service_model("bedrock-runtime", "service-2")
    return ServiceModel(description, "bedrock-runtime").operation_model("Converse").input_shape


def running_bedrock() -> AbstractContextManager[Bedrock]:
    return running(Bedrock())


# --- replies -----------------------------------------------------------------------------------------------


def whole(*blocks: dict[str, Any], reason: str = "end_turn", **usage: Any) -> list[Step]:
    counts = {"inputTokens": 12, "outputTokens": 8, "totalTokens": 20} | usage
    body = {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": reason,
        "usage": counts,
        "metrics": {"latencyMs": 5},
    }
    return json_reply(body, x_amzn_requestid="bedrock-request-1")


def streamed(*messages: bytes) -> list[Step]:
    """An event stream; each message is an HTTP chunk of its own, whatever it holds."""
    head, *rest = stream_reply(messages)
    assert isinstance(head, bytes)
    return [head.replace(b"content-type: text/event-stream\r\n", _MEDIA_TYPE), *rest]


def failure(status: int, name: str, message: str, **headers: str) -> list[Step]:
    """An exception as the service sends it."""
    kind = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return json_reply(json.dumps({"message": message}).encode(), status, x_amzn_errortype=kind, **headers)
