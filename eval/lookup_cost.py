"""What a lookup costs beyond the encoder's own time, in a scope of many entries.

    python -m eval.lookup_cost                    100,000 entries, some five minutes, most of them for filling
    python -m eval.lookup_cost --entries 10000

The entries are wordings of the FAQ in `data/faq`, each encoded and linked as an imported one is. What is asked are
other wordings of it. A lookup and a pass of the encoder over a similar text take turns, so that both meet the same
machine.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cache.encoder import Encoder
from cache.lookup import Cache
from cache.query import CachePolicy
from cache.scope import scope_of, split
from cache.transfer import Kept, Prompt
from eval.cache import open_store, query_of

FAQ: Final = Path(__file__).parent.parent / "data" / "faq" / "questions.jsonl"
_OPENINGS: Final = ("", "so ", "well ", "ok ", "then ", "and ", "um ", "listen, ", "look, ", "just asking: ")
_CLOSINGS: Final = ("", "?", " then?", " exactly?", " in short?", " in detail?", " really?", " please?", " though?")
_POLICY: Final = CachePolicy(start="prior")
_WARM_UP: Final = 100


class Cost(Struct, frozen=True):
    """Medians in milliseconds. `alone`: nobody else is being served, so the text is encoded on the caller's thread;
    `beside`: on one of the encoder's."""

    entries: int
    asked: int
    encoder_ms: float
    alone_ms: float
    beside_ms: float
    dispositions: dict[str, int]


def wordings(chance: random.Random) -> Iterator[tuple[str, str]]:
    """(a text that comes only once, the answer to it), in random order."""
    items = [json.loads(line) for line in FAQ.read_text(encoding="utf-8").splitlines()]
    known = [(text, item["answer"]) for item in items for text in (item["question"], *item["paraphrases"])]
    frames = list(itertools.product(_OPENINGS, _CLOSINGS))
    chance.shuffle(frames)
    for opening, closing in frames:
        for text, answer in chance.sample(known, len(known)):
            yield f"{opening}{text.rstrip('?')}{closing}", answer


async def fill(cache: Cache[Any], texts: Sequence[tuple[str, str]], advanced: Callable[[], None]) -> None:
    """Stores each text with its answer, all in one scope."""
    query = query_of("", _POLICY, "")
    scope, now_us = scope_of(query, split(query.mapping["messages"]).context), time.time_ns() // 1000
    for number, (text, answer) in enumerate(texts):
        kept = Kept(
            id=f"{number:032x}",
            scope=scope,
            team=query.team,
            env=query.env,
            route=query.route,
            shared=None,
            model=query.acceptance.model,
            tier=query.acceptance.lowest_tier,
            is_rationed=False,
            output_tokens=len(answer) // 4,
            created_us=now_us,
            expires_us=now_us + 3_600_000_000,
            knowledge_version=_POLICY.knowledge_version,
            tags=(),
            is_curated=False,
            source="lookup_cost",
            writer="",
            askers=(),
            worth=1,
            payload=answer.encode(),
            answer=answer,
            anchors=[Prompt(text)],
        )
        await cache.restore(kept, _POLICY)
        advanced()


async def measured(cache: Cache[Any], encoder: Encoder, texts: Sequence[str], entries: int) -> Cost:
    """Looks each text up; every second one as if others were being served."""
    took: dict[str, list[float]] = {"encoder": [], "alone": [], "beside": []}
    dispositions: Counter[str] = Counter()
    for number, text in enumerate(texts):
        way, cache.is_alone = (("alone", lambda: True), ("beside", lambda: False))[number % 2]
        begun = time.perf_counter()
        found = await cache.lookup(query_of(text, _POLICY, ""))
        ended = time.perf_counter()
        if found.ticket is not None and found.flight is not None:
            cache.land(found.ticket, found.flight)
        again = time.perf_counter()
        encoder.encode_now(text.swapcase())
        done = time.perf_counter()
        if number >= _WARM_UP and found.judgement is not None:
            took[way].append(ended - begun)
            took["encoder"].append(done - again)
            dispositions[found.disposition] += 1
    ms = {name: 1000 * statistics.median(times) for name, times in took.items()}
    return Cost(entries, len(took["encoder"]), ms["encoder"], ms["alone"], ms["beside"], dict(dispositions))


def to_table(cost: Cost) -> Table:
    table = Table(title=f"A lookup in a scope of {cost.entries:,} entries, {cost.asked:,} asked, p50")
    table.add_column("what")
    table.add_column("ms", justify="right")
    table.add_row("the encoder's pass", f"{cost.encoder_ms:.2f}")
    for name, found in (("with nobody beside it", cost.alone_ms), ("beside others", cost.beside_ms)):
        table.add_row(f"lookup {name}", f"{found:.2f}")
        table.add_row("  beyond the encoder (promised: 0.50)", f"{found - cost.encoder_ms:.2f}")
    said = ", ".join(f"{count} {disposition}" for disposition, count in sorted(cost.dispositions.items()))
    table.caption = f"{said}; a lookup that needs no pass is not counted"
    return table


async def run(folder: Path, entries: int, asked: int, console: Console) -> Cost:
    encoder = Encoder.load(folder)
    texts = list(itertools.islice(wordings(random.Random(7)), entries + asked + _WARM_UP))
    if len(texts) < entries + asked + _WARM_UP:
        raise SystemExit(f"The FAQ has {len(texts):,} wordings: too few. Next step: ask for fewer entries.")
    faults: list[Exception] = []
    store = open_store(faults.append)
    cache: Cache[Any] = Cache(store, encoder, lambda: time.time_ns() // 1000, faults.append)
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("Storing entries", total=entries)
            await fill(cache, texts[:entries], lambda: progress.advance(task))
        cost = await measured(cache, encoder, [text for text, _ in texts[entries:]], len(store))
    finally:
        cache.close()
        encoder.close()
    if faults:
        raise faults[0]
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.lookup_cost", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--entries", type=int, default=100_000, help="how many lie in the scope (default: %(default)s)")
    parser.add_argument("--asked", type=int, default=1_000, help="how many lookups are timed (default: %(default)s)")
    parser.add_argument(
        "--encoder", type=Path, default=Path(".thriftgate/encoder"), help="its folder (default: %(default)s)"
    )
    given = parser.parse_args()
    if given.entries < 1 or given.asked < 2:
        parser.error("--entries must be at least 1 and --asked at least 2")
    console = Console()
    uvloop.install()
    console.print(to_table(asyncio.run(run(given.encoder, given.entries, given.asked, console))))


if __name__ == "__main__":
    main()
