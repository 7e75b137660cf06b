"""What clients speak: each module turns one API into the canonical chat request, and canonical events back."""

from collections.abc import Mapping
from typing import Final

from router.surfaces import anthropic, openai, responses
from router.surfaces.surface import Surface

SURFACES: Final[Mapping[str, Surface]] = {
    openai.DIALECT: openai,
    anthropic.DIALECT: anthropic,
    responses.DIALECT: responses,
}
"""By dialect."""
