import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache.encoder import Encoder
from eval.audit_verdicts import (
    DRAWS,
    NEIGHBOURS,
    RIGHT,
    SPLIT,
    UNKNOWN,
    WORDINGS,
    WRONG,
    Said,
    measure,
    scenes,
    to_table,
)
from eval.sameness import NATURAL_HELD_BACK, Texts, read_families

FAMILIES = 30


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Iterator[Encoder]:
    encoder = Encoder.load(encoder_folder)
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def said(encoder: Encoder) -> dict[str, Said]:
    families = read_families(NATURAL_HELD_BACK)[:FAMILIES]
    return {each.kind: each for each in asyncio.run(measure(families, encoder, "test"))}


def test_a_right_hit_is_never_called_wrong_even_where_its_answer_is_in_two_groups(said: dict[str, Said]) -> None:
    assert said[RIGHT].different.successes == said[SPLIT].different.successes == 0
    assert said[SPLIT].same.trials == FAMILIES * DRAWS


def test_most_wrong_hits_are_seen_and_more_of_them_where_the_right_answer_is_known(said: dict[str, Said]) -> None:
    assert (said[WRONG].different.value or 0) > 0.85
    assert said[WRONG].different.successes > said[UNKNOWN].different.successes
    assert said[WRONG].same.successes == 0


def test_a_fresh_answer_is_none_of_those_that_the_scope_knows(encoder: Encoder) -> None:
    families = read_families(NATURAL_HELD_BACK)[:FAMILIES]
    family_of = {text: family.id for family in families for text in family.same}
    for scene in scenes(families, Texts(encoder), random.Random(1)):
        known = [text for group in (scene.served, *scene.others) for text in group]
        assert scene.fresh not in known
        assert len(known) == len(set(known))
        is_right = family_of[scene.served[0]] == family_of[scene.fresh]
        assert is_right == (scene.kind in (RIGHT, SPLIT))
        assert len(scene.served) == WORDINGS
        assert len(scene.others) <= NEIGHBOURS + 1


def test_the_table_names_every_kind_of_scene(said: dict[str, Said]) -> None:
    table = to_table(list(said.values()), "Audits")
    assert table.row_count == 4
