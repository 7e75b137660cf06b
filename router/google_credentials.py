"""OAuth access tokens of Google Cloud: from a service account's key file, or from the application default credentials
(environment, gcloud, workload identity, the metadata server). google-auth fetches them.

Blocks; `credentials.py` calls it in a thread. Sources are read anew each time: keys are rotated while servers run.
"""

import math
from datetime import UTC
from typing import Any, Final

import google.auth
import urllib3
from google.auth.transport.urllib3 import Request
from google.oauth2.service_account import Credentials

from router.catalogue import GoogleAccount
from router.credentials import Fetch, Lease

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=10.0)


def fetcher(source: GoogleAccount) -> Fetch:
    """What gives a token as the protocol takes it: `Bearer TOKEN`."""

    def fetch(was_turned_down: bool) -> Lease:
        with urllib3.PoolManager(timeout=_TIMEOUT, retries=2) as pool:
            request = Request(pool)  # type: ignore[no-untyped-call]
            credentials: Any
            if source.file is not None:
                credentials = Credentials.from_service_account_file(source.file, scopes=_SCOPES)  # type: ignore[no-untyped-call]
            else:
                credentials, _ = google.auth.default(scopes=_SCOPES, request=request)
            credentials.refresh(request)
        end = credentials.expiry  # without a time zone, in UTC
        return Lease(f"Bearer {credentials.token}", end.replace(tzinfo=UTC).timestamp() if end else math.inf)

    return fetch
