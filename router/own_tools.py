"""The providers' own tools that cost a fee beside their tokens: which a request allows, which an answer has used.

Owns their kinds and how each API says that one was used; knows no prices. Wire facts: OpenAI API reference, "The
response object" (`tool_usage`, output items) and "Pricing"; Claude API reference, `usage.server_tool_use`; Gemini API,
"Grounding with Google Search" (up to generation 2.5 a grounded prompt is billed, from 3 on each search that is unlike
the others and not empty).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

KINDS: Final = frozenset({"web_search", "file_search", "code_interpreter", "code_execution", "image_generation"})
"""`code_interpreter` is counted by containers (OpenAI), `code_execution` by requests (Anthropic)."""

_UNLIMITED: Final = 20
"""So many calls of a kind are held possible where the request sets no limit."""
_ONE_CONTAINER: Final = frozenset({"code_interpreter"})


def allowed(mapping: Mapping[str, Any]) -> dict[str, int]:
    """Kind -> how many calls of it a request allows at most. `mapping` is a canonical request, where a provider's own
    tools stand among the others as they came."""
    found: dict[str, int] = {}
    if mapping.get("web_search_options") is not None:
        found["web_search"] = 1
    tools = mapping.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = _kind_of(tool.get("type") if isinstance(tool, dict) else None)
        if kind is not None:
            limit = tool.get("max_uses") or mapping.get("max_tool_calls")
            found[kind] = found.get(kind, 0) + (1 if kind in _ONE_CONTAINER else _limit(limit))
    return found


def _limit(told: Any) -> int:
    is_count = isinstance(told, int) and not isinstance(told, bool) and 0 < told < 2**31
    return told if is_count else _UNLIMITED


def _kind_of(tool: Any) -> str | None:
    """Of `web_search`, `web_search_preview`, `web_search_20250305`, `code_execution_20250825`."""
    if not isinstance(tool, str):
        return None
    return next((kind for kind in KINDS if tool == kind or tool.startswith(f"{kind}_")), None)


def in_server_tool_use(counts: Any) -> dict[str, int]:
    """Of Anthropic's `usage.server_tool_use`, which others have taken over. Fetching costs nothing but tokens."""
    if not isinstance(counts, dict):
        return {}
    return _positive({kind: counts.get(name) for kind, name in _SERVER_TOOL_USE.items()})


def as_server_tool_use(calls: Mapping[str, int]) -> dict[str, int]:
    """The same counts under those names."""
    return {name: calls[kind] for kind, name in _SERVER_TOOL_USE.items() if kind in calls}


_SERVER_TOOL_USE: Final = {"web_search": "web_search_requests", "code_execution": "code_execution_requests"}


def in_response(response: Mapping[str, Any]) -> dict[str, int]:
    """Of a whole answer of OpenAI's Responses API: its own count of billable searches where it gives one, else the
    searches among its output; opening a page costs nothing. Calls that share a container are one session."""
    output = response.get("output")
    items = [item for item in (output if isinstance(output, list) else ()) if isinstance(item, dict)]
    kinds = [item.get("type") for item in items]
    containers = {str(item.get("container_id")) for item in items if item.get("type") == "code_interpreter_call"}
    return _positive(
        {
            "web_search": _billed_searches(response.get("tool_usage"), items),
            "file_search": kinds.count("file_search_call"),
            "code_interpreter": len(containers),
            "image_generation": kinds.count("image_generation_call"),
        }
    )


def _billed_searches(told: Any, items: Iterable[Mapping[str, Any]]) -> int:
    match told:
        case {"web_search": {"num_requests": int(requests)}}:
            return requests
    return sum(item.get("type") == "web_search_call" and _is_search(item.get("action")) for item in items)


def _is_search(action: Any) -> bool:
    return not isinstance(action, dict) or action.get("type", "search") == "search"


def in_grounding(metadata: Iterable[Any], generation: int) -> dict[str, int]:
    """Of the `groundingMetadata` of an answer's candidates by a Gemini of this generation."""
    found = [each for each in metadata if isinstance(each, dict)]
    asked = [each.get("webSearchQueries") for each in found]
    queries = {query for each in asked if isinstance(each, list) for query in each if isinstance(query, str) and query}
    if generation >= 3:
        return _positive({"web_search": len(queries)})
    return _positive({"web_search": int(bool(queries) or any(each.get("groundingChunks") for each in found))})


def _positive(counts: Mapping[str, Any]) -> dict[str, int]:
    """Those that are counts, and not none. A count beyond reason is none."""
    return {
        kind: count
        for kind, count in counts.items()
        if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**31
    }
