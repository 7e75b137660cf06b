"""Looks after deployments that nobody calls: whether their provider still answers is known before a client asks.

Only by what costs nothing: the list of models, without a key; never a completion.
"""

import asyncio
from typing import Final

from router.catalogue import Deployment
from router.fleet import Fleet
from router.upstream import Upstream

_LOOKS_EVERY_S: Final = 1.0


async def keep_checking(fleet: Fleet, upstream: Upstream) -> None:
    """Checks whatever is idle, until it is cancelled: all at the same time, so that one that hangs keeps no other
    waiting."""

    async def check(deployment: Deployment) -> None:
        fleet.checked(deployment, is_up=await upstream.is_up(deployment))

    while True:
        await asyncio.sleep(_LOOKS_EVERY_S)
        await asyncio.gather(*(check(deployment) for deployment in fleet.idle()))
