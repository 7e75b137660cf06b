"""The models of a route as clients list them: in OpenAI's form and in Anthropic's.

Wire facts: OpenAI API reference, "List models"; Claude API reference, "List Models" and "Get a Model".
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.catalogue import Model
from router.errors import RequestInvalid
from router.plan import AUTO

_AT_ONCE: Final = 20
_UNKNOWN_TIME: Final = "1970-01-01T00:00:00Z"
"""Anthropic's own for a model whose release date is not known."""


class Page(Struct):
    """What an Anthropic client asks for. Numbers come as text."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = _AT_ONCE
    after_id: str | None = None
    before_id: str | None = None


def page_of(query: Mapping[str, Any]) -> Page:
    """From a query string: name -> its values. Raises RequestInvalid that names the parameter."""
    last = {name: values[-1] if isinstance(values, list) else values for name, values in query.items()}
    try:
        return msgspec.convert(last, Page, strict=False)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error) from None


def openai_list(models: Sequence[Model]) -> dict[str, Any]:
    names = [AUTO, *(model.name for model in models)]
    return {"object": "list", "data": [openai_model(name) for name in names]}


def openai_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "thriftgate"}


def anthropic_page(models: Sequence[Model], page: Page) -> dict[str, Any]:
    """Some of the models. Raises RequestInvalid for a place that is none."""
    known: dict[str, Model | None] = {AUTO: None, **{model.name: model for model in models}}
    names = list(known)
    for param in ("after_id", "before_id"):
        if (name := getattr(page, param)) is not None and name not in known:
            raise RequestInvalid(f"`{param}`: there is no model `{name}`.", param)
    first = names.index(page.after_id) + 1 if page.after_id is not None else 0
    last = names.index(page.before_id) if page.before_id is not None else len(names)
    wanted = names[first:last]
    shown = wanted[-page.limit :] if page.before_id is not None else wanted[: page.limit]
    return {
        "data": [anthropic_model(name, known[name]) for name in shown],
        "has_more": len(shown) < len(wanted),
        "first_id": shown[0] if shown else None,
        "last_id": shown[-1] if shown else None,
    }


def anthropic_model(name: str, model: Model | None) -> dict[str, Any]:
    """`auto` is no one model, so it has no limits of its own."""
    limits = {"max_input_tokens": model.context_tokens, "max_tokens": model.max_output_tokens} if model else {}
    described = {"display_name": name, "created_at": _UNKNOWN_TIME, "lifecycle": "active"}
    return {"type": "model", "id": name, **described, **limits}
