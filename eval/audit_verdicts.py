"""What an audit says of a hit in a scope that holds answers to other questions, too: `python -m eval.audit_verdicts`.

Asks the same `cache.answers.Answers` as production, over answers that were worded naturally and held back from every
fit. Owns the scenes and their count; pairs of answers by themselves are measured by `eval/sameness.py`.
"""

import argparse
import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cache.answers import Answers, WordedComparison
from cache.decision import load_prior
from cache.encoder import Encoder
from cache.groups import Group
from cache.neighbourhood import Neighbourhood
from cache.sameness import Verdict
from eval.intervals import Share, share
from eval.sameness import NATURAL_HELD_BACK, OTHERS, Family, Texts, percent, read_families

WORDINGS: Final = 3
"""So many of each answer are known."""
NEIGHBOURS: Final = 2
"""Of each answer, so many others are known: the nearest by their vectors, which are hardest to tell apart."""
DRAWS: Final = 3
"""Times that the wordings of each answer are dealt out anew."""
_SCOPE: Final = b"a"

RIGHT: Final = "right: what was served says the same"
SPLIT: Final = "right: and other wordings of it are in a group of their own"
WRONG: Final = "wrong: the right answer is known"
UNKNOWN: Final = "wrong: the right answer is not known"


class Scene(Struct, frozen=True):
    """A fresh answer, the wordings of what was served, and the wordings of all other groups of the scope."""

    kind: str
    fresh: str
    served: tuple[str, ...]
    others: tuple[tuple[str, ...], ...]


class Said(Struct, frozen=True):
    """What audits said of the scenes of a kind."""

    kind: str
    same: Share
    different: Share
    unclear: Share


def scenes(families: Sequence[Family], texts: Texts, chance: random.Random) -> Iterator[Scene]:
    """Of each answer with enough wordings a scene of each kind, dealt out `DRAWS` times."""
    enough = [family for family in families if len(set(family.same)) > 2 * WORDINGS]
    vectors = np.stack([texts.vector(family.same[0]) for family in enough])
    for at, family in enumerate(enough):
        nearness = vectors @ vectors[at]
        nearest = [enough[place] for place in np.argsort(-nearness, kind="stable").tolist() if place != at]
        near = [tuple(chance.sample(other.same, WORDINGS)) for other in nearest[:NEIGHBOURS]]
        for _ in range(DRAWS):
            fresh, *rest = chance.sample(sorted(set(family.same)), 2 * WORDINGS + 1)
            own, split = tuple(rest[:WORDINGS]), tuple(rest[WORDINGS:])
            yield Scene(RIGHT, fresh, own, tuple(near))
            yield Scene(SPLIT, fresh, own, (split, *near))
            for place, served in enumerate(near):
                others = tuple(near[:place] + near[place + 1 :])
                yield Scene(WRONG, fresh, served, (own, *others))
                yield Scene(UNKNOWN, fresh, served, others)


async def verdict(scene: Scene, texts: Texts, encoder: Encoder) -> Verdict:
    """What an audit says of it."""
    neighbourhood = Neighbourhood(encoder.dim, load_prior())
    comparison, wording_id = WordedComparison(), 1_000
    for group_id, (first, *rest) in enumerate((scene.served, *scene.others)):
        group = Group(group_id, _SCOPE, comparison.identity(first), first)
        neighbourhood.groups.add(group, texts.vector(first))
        for wording in rest:
            wording_id += 1
            neighbourhood.groups.add_wording(group_id, wording_id, wording, texts.vector(wording))
    answers = Answers(neighbourhood, encoder, comparison)
    return await answers.verdict(neighbourhood.groups[0], scene.fresh, texts.vector(scene.fresh))


async def measure(families: Sequence[Family], encoder: Encoder, title: str, seed: int = 1) -> list[Said]:
    texts = Texts(encoder)
    verdicts: dict[str, Counter[Verdict]] = defaultdict(Counter)
    asked = list(scenes(families, texts, random.Random(seed)))
    for scene in track(asked, title, console=Console(stderr=True)):
        verdicts[scene.kind][await verdict(scene, texts, encoder)] += 1
    return [
        Said(kind, *(share(found[each], found.total()) for each in ("same", "different", "unclear")))
        for kind, found in verdicts.items()
    ]


def to_table(said: Sequence[Said], title: str) -> Table:
    table = Table("scene", "number", "same", "different", "unclear", title=title, box=box.SIMPLE, title_justify="left")
    for each in said:
        shares = (each.same, each.different, each.unclear)
        table.add_row(each.kind, str(each.same.trials), *(percent(found) for found in shares))
    return table


def main() -> None:
    """Prints what audits say of right hits and of wrong ones; in brackets 95 % bounds after Clopper and Pearson."""
    parser = argparse.ArgumentParser(prog="python -m eval.audit_verdicts", description=main.__doc__)
    parser.add_argument(
        "--encoder", type=Path, default=Path(os.environ.get("THRIFTGATE_ENCODER_DIR", ".thriftgate/encoder"))
    )
    encoder = Encoder.load(parser.parse_args().encoder)
    for path, title in ((NATURAL_HELD_BACK, "Natural wordings, held back"), (OTHERS, "Natural wordings by others")):
        Console().print(to_table(asyncio.run(measure(read_families(path), encoder, title)), title))
    encoder.close()


if __name__ == "__main__":
    main()
