"""Who belongs to a group, in the order in which they came.

There are as many groups as answers, and most have one or two members: a tuple takes a fifth of a dict's memory. A group
of thousands, as of one answer to a question that everybody asks, has a dict, so that one can go without a look at the
others.
"""

from typing import Final, TypeVar

Member = TypeVar("Member")
Members = tuple[Member, ...] | dict[Member, None]

_FEW: Final = 32


def joined(members: Members[Member], new: Member) -> Members[Member]:
    """With a new one. What was given is of no use any more."""
    if isinstance(members, tuple):
        if len(members) < _FEW:
            return (*members, new)
        members = dict.fromkeys(members)
    members[new] = None
    return members


def left(members: Members[Member], gone: Member) -> Members[Member]:
    """Without one; an absent one is no error. What was given is of no use any more."""
    if isinstance(members, tuple):
        return tuple(each for each in members if each != gone)
    members.pop(gone, None)
    return members
