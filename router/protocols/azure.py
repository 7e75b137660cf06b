"""Azure OpenAI: OpenAI's chat completions at a deployment's own path, with a version and a key header of its own.

Wire facts: Azure OpenAI REST API reference, "Chat completions - Create": `/openai/deployments/{deployment-id}/chat/
completions?api-version=...`, header `api-key`; Entra tokens go into `authorization`.
"""

from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from router.catalogue import Deployment
from router.chat import ChatRequest
from router.protocols import openai
from router.protocols.openai import STREAM_TYPE, Reader, parse_body, parse_error
from router.protocols.wire import Wire

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

API_VERSION: Final = "2024-10-21"
"""The latest stable version, where the provider names none."""
_ENTRA: Final = "eyJ"
"""How every JSON web token begins: such a credential is a token of Entra, not a key."""


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The request as for OpenAI, sent to the deployment of this name. Raises RequestInvalid."""
    wire = openai.encode(request, deployment, output_limit)
    return msgspec.structs.replace(wire, path=path_of(deployment, openai.PATH))


def path_of(deployment: Deployment, path: str) -> str:
    """An endpoint of OpenAI's at the deployment's own path."""
    name = quote(deployment.upstream_model, safe="")
    version = quote(deployment.provider.api_version or API_VERSION, safe="")
    return f"/openai/deployments/{name}{path}?api-version={version}"


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers, with the key where Azure wants it."""
    if api_key is None or api_key.startswith(_ENTRA):
        return openai.authorised(wire, url, api_key, at)
    return openai.authorised(wire, url, None, at) | {"api-key": api_key}
