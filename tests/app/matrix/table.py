"""The table: which cells are not simply answered, and why. The tests hold it, README.md shows it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.app.matrix.capabilities import CAPABILITIES
from tests.app.matrix.clients import CLIENTS
from tests.app.matrix.upstreams import UPSTREAMS

Kind = Literal["answered", "refused", "told", "absent"]
FORMS: Final = ("JSON", "stream")
BEGIN: Final = "<!-- protocols: begin -->"
END: Final = "<!-- protocols: end -->"


@dataclass(frozen=True)
class Outcome:
    """`refused`: 400 that names the field. `told`: answered, and the warning header names what was left out. `absent`:
    the provider's protocol has nothing of the kind to tell, and nothing is made up."""

    kind: Kind = "answered"
    name: str = ""


ANSWERED: Final = Outcome()
_EVERY: Final = tuple(CLIENTS)

# What a client is told of its second part, its picture and its wish for one call at a time: its own names for them.
_PART: Final = {
    client: "input[0].content[1]" if client == "responses" else "messages[0].content[1]" for client in _EVERY
}
_PICTURE: Final = {
    "chat completions": f"{_PART['chat completions']}.image_url.url",
    "responses": f"{_PART['responses']}.image_url",
    "messages": f"{_PART['messages']}.source",
}
_SERIAL: Final = {
    client: "tool_choice.disable_parallel_tool_use" if client == "messages" else "parallel_tool_calls"
    for client in _EVERY
}

# (client API, protocol, capability) -> what becomes of it.
_EXCEPTIONS: Final[dict[tuple[str, str, str], Outcome]] = {
    **{
        (client, "ollama", capability): outcome
        for client in _EVERY
        for capability, outcome in {
            "forced tool call": Outcome("refused", "tool_choice"),
            "one tool call at a time": Outcome("refused", _SERIAL[client]),
            "picture by address": Outcome("refused", _PICTURE[client]),
        }.items()
    },
    ("messages", "ollama", "reasoning text"): Outcome("told", "thinking.budget_tokens"),
    **{(client, "gemini", "one tool call at a time"): Outcome("refused", _SERIAL[client]) for client in _EVERY},
    **{(client, "bedrock", "picture by address"): Outcome("refused", _PICTURE[client]) for client in _EVERY},
    **{
        (client, upstream, "spoken question"): Outcome("refused", f"{_PART[client]}.type")
        for client in _EVERY
        for upstream in ("anthropic", "ollama")
    },
    **{
        (client, upstream, "spoken answer"): Outcome("refused", "audio")
        for client in _EVERY
        for upstream in ("anthropic", "bedrock", "ollama")
    },
    ("chat completions", "gemini", "spoken answer"): Outcome("told", "modalities[0]"),
}


def outcome(client: str, upstream: str, capability: str) -> Outcome:
    if capability in UPSTREAMS[upstream].silent_on:
        return Outcome("absent")
    return _EXCEPTIONS.get((client, upstream, capability), ANSWERED)


def cells() -> Iterator[tuple[str, str, str, str]]:
    """Client API, protocol, capability and form of every cell."""
    for client in CLIENTS:
        for upstream in UPSTREAMS:
            for capability in CAPABILITIES:
                for form in FORMS if can_ask(client, capability) else ():
                    yield client, upstream, capability, form


def can_ask(client: str, capability: str) -> bool:
    return capability not in CLIENTS[client].cannot_ask


# --- as README.md shows it -------------------------------------------------------------------------------------


def markdown() -> str:
    """The table between its marks. A cell stands for all client APIs and both forms, where it does not say else."""
    kinds = [outcome(client, upstream, capability).kind for client, upstream, capability, _ in cells()]
    counted = {kind: kinds.count(kind) for kind in ("answered", "told", "refused", "absent")}
    head = (
        f"{len(kinds)} cells ({', '.join(CLIENTS)}; JSON and stream): {counted['answered']} answered ✓, "
        f"{counted['told']} answered with a warning that names what was left out, {counted['refused']} refused with a "
        f"400 that names the field, {counted['absent']} of which the provider tells nothing (–)."
    )
    lines = [f"| | {' | '.join(UPSTREAMS)} |", "|---" * (len(UPSTREAMS) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(_shown(upstream, name) for upstream in UPSTREAMS)} |" for name in CAPABILITIES]
    return "\n".join([BEGIN, head, "", *lines, END])


def _shown(upstream: str, capability: str) -> str:
    asking = [client for client in CLIENTS if can_ask(client, capability)]
    by_client = {client: _text(outcome(client, upstream, capability)) for client in asking}
    usual = by_client[_EVERY[0]]
    others = [f"{client}: {said}" for client, said in by_client.items() if said != usual]
    return f"{usual} ({'; '.join(others)})" if others else usual


def _text(found: Outcome) -> str:
    match found.kind:
        case "answered":
            return "✓"
        case "told":
            return f"✓ without `{found.name}`"
        case "refused":
            return f"400 `{found.name}`"
        case _:
            return "–"


def shown_in(readme: str) -> str | None:
    """The table that this text has; None where it has none."""
    start, end = readme.find(BEGIN), readme.find(END)
    return readme[start : end + len(END)] if 0 <= start < end else None


def write(path: Path) -> None:
    """Puts the table between its marks. Raises ValueError for a file without them."""
    readme = path.read_text(encoding="utf-8")
    present = shown_in(readme)
    if present is None:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}.")
    path.write_text(readme.replace(present, markdown()), encoding="utf-8")
