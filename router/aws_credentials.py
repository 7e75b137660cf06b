"""AWS credentials from botocore's own chain: environment, web identity, profiles (roles to assume, single sign-on,
processes), containers, instances. Botocore fetches and renews them; this says what they are and how long they last.

Blocks; `credentials.py` calls it in a thread.
"""

import logging
import math
from typing import Any

from botocore.session import Session  # type: ignore[import-untyped]

from router.catalogue import AwsChain
from router.credentials import Fetch, Lease

# Its warnings quote answers that it cannot read, and those may hold secrets. Failures are told by whoever asks.
logging.getLogger("botocore.credentials").setLevel(logging.CRITICAL)


class NoCredentials(Exception):
    """Nothing of the chain has any."""


def fetcher(source: AwsChain) -> Fetch:
    """What gives the credentials as the protocol takes them: `ACCESS_KEY_ID:SECRET[:SESSION_TOKEN]`."""
    found: Any = None

    def fetch(was_turned_down: bool) -> Lease:
        nonlocal found
        # Those without an end may have been exchanged in their file.
        if found is None or was_turned_down or _end_of(found) is None:
            session = Session(profile=source.profile)
            session.set_config_variable("region", source.region)  # where roles are assumed
            found = session.get_credentials()
        if found is None:
            raise NoCredentials
        frozen = found.get_frozen_credentials()
        parts = [part for part in (frozen.access_key, frozen.secret_key, frozen.token) if part]
        return Lease(":".join(parts), _end_of(found) or math.inf)

    return fetch


def _end_of(credentials: Any) -> float | None:
    """When they end; None for those that do not say. Botocore has no other name for it."""
    end = getattr(credentials, "_expiry_time", None)
    return None if end is None else float(end.timestamp())
