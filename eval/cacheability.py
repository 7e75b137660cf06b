"""How well `cache/cacheability.py` tells what may be cached, on labelled prompts and on conversations.

Calls the same functions as production, with no server, no encoder and no clock. Owns the measure and its tables;
refuses to know the rules.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cache.cacheability import Cacheability, Level, cacheability
from cache.query import Acceptance, CachePolicy, Directives, Query
from cache.scope import exact_key, scope_of, split
from eval.intervals import Share, share

Label = Literal["cacheable", "personal", "volatile", "follow-up", "too-short", "sampling"]
"""What a person says of a prompt, as `data/cacheability/README.md` explains."""
LABELS: Final[tuple[Label, ...]] = get_args(Label)
Part = Literal["dev", "test"]

ALLOWED: Final[dict[Label, frozenset[Level]]] = {
    "cacheable": frozenset({"semantic"}),
    "personal": frozenset({"none"}),
    "volatile": frozenset({"none", "exact"}),
    "follow-up": frozenset({"none", "exact"}),
    "too-short": frozenset({"none", "exact"}),
    "sampling": frozenset({"none", "exact"}),
}
"""How far the cache may go with a prompt of the label; with a cacheable one, how far it should go."""

_LABEL_OF_REASON: Final[dict[str, Label]] = {
    "": "cacheable",
    "personal": "personal",
    "volatile": "volatile",
    "follow-up": "follow-up",
    "earlier-turns": "follow-up",
    "short": "too-short",
    "empty": "too-short",
    "sampling": "sampling",
    "creative": "sampling",
}


class Prompt(Struct, frozen=True):
    """One line of a labelled file."""

    text: str
    label: Label = msgspec.field(name="class")
    part: Part = msgspec.field(name="split")
    earlier: tuple[dict[str, Any], ...] = ()
    writer: int = 0
    """Who wrote it; 0 = who wrote the rules."""


class ClassMeasure(Struct, frozen=True):
    """How one class fared."""

    label: Label
    precision: Share
    """Of the prompts that were put into this class, how many belong there."""
    recall: Share
    """Of the prompts of this class, how many were put there."""
    handled: Share
    """Of the prompts of this class, how many get a level that is right for it, for whatever reason."""


class Mistake(Struct, frozen=True):
    """A prompt whose level is not right for its class."""

    prompt: Prompt
    found: Cacheability


class CacheabilityReport(Struct, frozen=True):
    prompts: int
    classes: tuple[ClassMeasure, ...]
    mistakes: tuple[Mistake, ...]


Kind = Literal["needs its context", "stands alone", "not annotated", "rewritten to stand alone"]
"""Of a follow-up, told by whether a person found that it needs other words without its conversation."""


class Conversation(Struct, frozen=True):
    """What one person said turn by turn, and what was answered where the file says it."""

    source: str
    topic: str
    turns: tuple["Turn", ...]


class Turn(Struct, frozen=True):
    raw: str
    resolved: str | None
    """The same question in words that need no earlier turn; None = nobody has written it down."""
    answer: str | None

    @property
    def stands_alone(self) -> bool | None:
        """None = not known."""
        return None if self.resolved is None else folded(self.raw) == folded(self.resolved)


class FollowUpReport(Struct, frozen=True):
    """What happens to follow-ups. Turns that two files or two branches share word for word, together with all
    that came before, are counted once."""

    conversations: int
    follow_ups: int
    """Turns from the second on."""
    semantic_in_context: int
    """Follow-ups that could be served semantically when they come with their earlier turns."""
    crossings: int
    """Follow-ups that have the scope of another conversation whose turns until then were not the same."""
    same_openings: int
    """Follow-ups that have the scope of another topic because all turns until then were the same."""
    bare: tuple["BareFollowUps", ...]


class BareFollowUps(Struct, frozen=True):
    """Texts sent as a first turn."""

    kind: Kind
    semantic: Share
    """How many would be looked up semantically."""
    examples: tuple[str, ...]
    """The first of those."""


# --- Labelled prompts ---------------------------------------------------------------------------------------


def measure_cacheability(path: Path, part: Part | None = None) -> CacheabilityReport:
    """Precision and recall per class over a file of labelled prompts, as read_prompts()."""
    return measure(read_prompts(path, part))


def read_prompts(path: Path, part: Part | None = None) -> list[Prompt]:
    """A file of labelled prompts, one JSON object a line. `part` None means all of them. Raises
    `msgspec.ValidationError` on a line that is none."""
    decoder = msgspec.json.Decoder(Prompt)
    prompts = [decoder.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    return [prompt for prompt in prompts if part in (None, prompt.part)]


def measure(prompts: Iterable[Prompt]) -> CacheabilityReport:
    judged = [(prompt, _judged([*prompt.earlier, _user(prompt.text)])) for prompt in prompts]
    return CacheabilityReport(
        prompts=len(judged),
        classes=tuple(_of_class(label, judged) for label in LABELS),
        mistakes=tuple(Mistake(prompt, found) for prompt, found in judged if found.level not in ALLOWED[prompt.label]),
    )


def _of_class(label: Label, judged: Sequence[tuple[Prompt, Cacheability]]) -> ClassMeasure:
    members = [found for prompt, found in judged if prompt.label == label]
    put_there = [prompt for prompt, found in judged if _LABEL_OF_REASON.get(found.reason) == label]
    right = sum(_LABEL_OF_REASON.get(found.reason) == label for found in members)
    return ClassMeasure(
        label,
        precision=share(right, len(put_there)),
        recall=share(right, len(members)),
        handled=share(sum(found.level in ALLOWED[label] for found in members), len(members)),
    )


def cacheability_table(report: CacheabilityReport, title: str = "Cacheability") -> RenderableType:
    """A terminal table: a row per class, shares in % with 95 % bounds."""
    table = Table(title=f"{title}, {report.prompts} prompts", title_justify="left", box=box.SIMPLE)
    table.add_column("Class")
    for heading in ("Prompts", "Precision %", "Recall %", "Right level %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.classes:
        table.add_row(row.label, str(row.recall.trials), *map(_percent, (row.precision, row.recall, row.handled)))
    return Lines(
        table,
        Text("Right level: semantic for cacheable, none for personal, not semantic for the others."),
        Text("In brackets: 95 % bounds after Clopper and Pearson."),
    )


# --- Conversations ------------------------------------------------------------------------------------------


def measure_follow_ups(folder: Path, pattern: str = "*.json") -> FollowUpReport:
    """What the cache makes of the follow-ups in a folder of TREC CAsT topics: every JSON file that matches, with
    the rewritten utterances of the `.tsv` files for topics whose own file has none.

    Format: https://github.com/daltonj/treccastweb. Raises `ValueError` where no conversation is found."""
    rewritten = _read_rewritten(sorted(folder.glob("*.tsv")))
    found = [one for path in sorted(folder.glob(pattern)) for one in read_conversations(path, rewritten)]
    if not found:
        raise ValueError(f"no conversation in {folder}")
    return follow_up_report(found)


def follow_up_report(conversations: Sequence[Conversation]) -> FollowUpReport:
    histories: dict[bytes, set[bytes]] = defaultdict(set)
    topics: dict[bytes, set[str]] = defaultdict(set)
    scopes: dict[bytes, bytes] = {}
    texts: dict[Kind, dict[str, None]] = {kind: {} for kind in get_args(Kind)}
    semantic = 0
    for conversation in conversations:
        for history, turn in _follow_ups(conversation):
            messages = [*history, _user(turn.raw)]
            scope = scope_of(_query(messages), split(messages).context)
            histories[scope].add(msgspec.json.encode(history))
            topics[scope].add(conversation.topic)
            key = exact_key(scope, turn.raw)
            if key in scopes:
                continue
            scopes[key] = scope
            semantic += _judged(messages).level == "semantic"
            texts[_kind(turn)][turn.raw] = None
            if turn.resolved is not None:
                texts["rewritten to stand alone"][turn.resolved] = None
    return FollowUpReport(
        conversations=len(conversations),
        follow_ups=len(scopes),
        semantic_in_context=semantic,
        crossings=sum(len(histories[scope]) > 1 for scope in scopes.values()),
        same_openings=sum(len(topics[scope]) > 1 for scope in scopes.values()),
        bare=tuple(_bare(kind, list(asked)) for kind, asked in texts.items() if asked),
    )


def _follow_ups(conversation: Conversation) -> Iterator[tuple[list[dict[str, Any]], Turn]]:
    """Every turn but the first, with the messages before it. An answer that nobody knows is left out, which makes
    conversations more alike than they can be."""
    history: list[dict[str, Any]] = []
    for number, turn in enumerate(conversation.turns):
        if number:
            yield list(history), turn
        history.append(_user(turn.raw))
        if turn.answer is not None:
            history.append({"role": "assistant", "content": turn.answer})


def _kind(turn: Turn) -> Kind:
    if turn.stands_alone is None:
        return "not annotated"
    return "stands alone" if turn.stands_alone else "needs its context"


def _bare(kind: Kind, texts: list[str]) -> BareFollowUps:
    served = [text for text in texts if _judged([_user(text)]).level == "semantic"]
    return BareFollowUps(kind, share(len(served), len(texts)), tuple(served))


def read_conversations(path: Path, rewritten: dict[tuple[str, str], str] | None = None) -> list[Conversation]:
    """The conversations of one file of topics."""
    return [
        Conversation(
            source=path.name,
            topic=str(topic["number"]),
            turns=tuple(
                Turn(
                    raw=turn.get("raw_utterance") or turn["utterance"],
                    resolved=turn.get("manual_rewritten_utterance")
                    or (rewritten or {}).get((str(topic["number"]), str(turn["number"]))),
                    answer=turn.get("passage") or turn.get("response"),
                )
                for turn in topic["turn"]
            ),
        )
        for topic in json.loads(path.read_text(encoding="utf-8"))
    ]


def _read_rewritten(paths: list[Path]) -> dict[tuple[str, str], str]:
    """Topic and turn -> the rewritten utterance, from lines `31_2<TAB>Is throat cancer treatable?`."""
    lines = [line.partition("\t") for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return {(name.partition("_")[0], name.partition("_")[2]): text.strip() for name, _, text in lines if text.strip()}


def follow_ups_table(report: FollowUpReport, title: str = "Follow-ups") -> RenderableType:
    """A terminal table: what is looked up semantically of texts that come without their conversation."""
    table = Table(
        title=f"{title}, {report.follow_ups} in {report.conversations} conversations",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("Sent as a first turn")
    for heading in ("Texts", "Looked up semantically", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.bare:
        table.add_row(row.kind, str(row.semantic.trials), str(row.semantic.successes), _percent(row.semantic))
    return Lines(
        table,
        Text(
            f"With their own earlier turns: {report.semantic_in_context} looked up semantically, "
            f"{report.crossings} in the scope of a conversation that went otherwise, "
            f"{report.same_openings} in that of a topic that began with the same words."
        ),
    )


# --- One request --------------------------------------------------------------------------------------------


def _judged(messages: list[dict[str, Any]]) -> Cacheability:
    return cacheability(_query(messages), split(messages))


def _query(messages: list[dict[str, Any]]) -> Query:
    """A plain request of one caller: so that only the messages make a difference."""
    return Query(
        team="eval",
        env="eval",
        route="eval",
        mapping={"model": "auto", "messages": messages},
        output_limit=None,
        acceptance=Acceptance("auto", 0),
        policy=CachePolicy(),
        directives=Directives(),
    )


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def folded(text: str) -> str:
    """A text without case, space and signs."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _percent(found: Share) -> str:
    if found.value is None:
        return "-"
    return f"{100 * found.value:.1f} ({100 * found.low:.1f}-{100 * found.high:.1f})"
