"""Canonical conversations for property tests of protocols: what a client may say in text, pictures and tools."""

import json
from typing import Any

from hypothesis import strategies as st

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map("w{}".format)
names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
arguments = st.dictionaries(names, st.none() | st.booleans() | st.integers(-(2**40), 2**40) | words, max_size=3)
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}

user_contents = words | st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, words) | st.just(PICTURE), min_size=1, max_size=3
)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages that begin with a user's, with tool calls that are answered before anything else is said."""
    messages: list[dict[str, Any]] = []
    for text in draw(st.lists(words, max_size=2)):
        messages.append({"role": draw(st.sampled_from(["system", "developer"])), "content": text})
    calls = 0
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(user_contents)})
        made = []
        for _ in range(draw(st.integers(0, 2))):
            called = {"name": draw(names), "arguments": json.dumps(draw(arguments))}
            made.append({"id": f"call_{calls}", "type": "function", "function": called})
            calls += 1
        said = draw(st.none() | words) if made else draw(words)
        messages.append({"role": "assistant", "content": said} | ({"tool_calls": made} if made else {}))
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in made]
    messages.append({"role": "user", "content": draw(user_contents)})
    return messages


def declared(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A tool for each name that is called."""
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    return [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in sorted(called)
    ]


def told(messages: list[dict[str, Any]]) -> list[Any]:
    """What a conversation says, whatever its shape: instructions first, then who says, calls and returns what."""
    instructions = [message["content"] for message in messages if message["role"] in ("system", "developer")]
    rest: list[Any] = []
    for message in messages:
        match message:
            case {"role": "user" | "assistant" as role}:
                content = message["content"]
                parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
                rest += [(role, part["text"] if part["type"] == "text" else "picture") for part in parts]
                for call in message.get("tool_calls") or ():
                    rest.append(
                        ("calls", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                    )
            case {"role": "tool"}:
                rest.append(("returns", message["tool_call_id"], message["content"]))
    return [instructions, *rest]


SCALARS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 100),
        "max_tokens": st.integers(1, 10_000),
        "stop": words | st.lists(words, min_size=1, max_size=3),
    },
)
