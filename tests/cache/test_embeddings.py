"""What the store of embeddings promises: found by its key alone, bounded in bytes, and nothing that is too old."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from cache import tables
from cache.embeddings import EmbeddingStore, StoredEmbedding


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


def embedding(key: str, **fields: object) -> StoredEmbedding:
    owner = {"team": "t", "env": "prod", "route": "r", "knowledge_version": "1"}
    usual = {"model": "m", "tokens": 3, "created_us": 10, "vector": b"[1.5]"}
    return StoredEmbedding(key=key.encode(), **(owner | usual | fields))  # type: ignore[arg-type]


def test_what_is_stored_is_found_again_also_by_another_store(engine: sa.Engine) -> None:
    EmbeddingStore(engine, 10_000).store([embedding("a"), embedding("b", vector=b'"AAAA"')])

    found = EmbeddingStore(engine, 10_000).known([b"a", b"b", b"c"], since_us=10)

    assert found == {b"a": embedding("a"), b"b": embedding("b", vector=b'"AAAA"')}


def test_what_is_too_old_is_not_found(engine: sa.Engine) -> None:
    store = EmbeddingStore(engine, 10_000)
    store.store([embedding("a")])

    assert store.known([b"a"], since_us=11) == {}


def test_a_newer_one_takes_the_place_of_an_older_one(engine: sa.Engine) -> None:
    store = EmbeddingStore(engine, 10_000)
    store.store([embedding("a")])
    store.store([embedding("a", created_us=20, tokens=4)])

    assert store.known([b"a"], since_us=0) == {b"a": embedding("a", created_us=20, tokens=4)}


def test_more_keys_than_a_statement_takes_are_found(engine: sa.Engine) -> None:
    store = EmbeddingStore(engine, 10_000_000)
    keys = [f"k{number}" for number in range(2048)]
    store.store([embedding(key) for key in keys])

    assert len(store.known([key.encode() for key in keys], since_us=0)) == 2048


def test_the_oldest_go_when_the_bound_is_reached(engine: sa.Engine) -> None:
    store = EmbeddingStore(engine, 3_000)
    for number in range(40):
        store.store([embedding(f"k{number}", created_us=number)])

    with engine.connect() as connection:
        left = connection.scalars(sa.select(tables.embeddings.c.created_us)).all()
    assert sorted(left) == list(range(40 - len(left), 40))
    assert 9 <= len(left) <= 14


def test_what_would_not_fit_at_all_is_not_stored(engine: sa.Engine) -> None:
    store = EmbeddingStore(engine, 1_000)
    store.store([embedding("kept")])
    store.store([embedding("large", vector=b"[" + b"1" * 2_000 + b"]")])

    assert store.known([b"kept", b"large"], since_us=0).keys() == {b"kept"}


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({}, set()),
        ({"team": "t"}, {b"other"}),
        ({"route": "r2"}, {b"a", b"other"}),
        ({"team": "t", "route": "r2"}, {b"a", b"other"}),
        ({"env": "dev"}, {b"a", b"b"}),
        ({"knowledge_version": "1"}, set()),
        ({"tag": "x"}, {b"a", b"b", b"other"}),
        ({"team": "t", "id": "x"}, {b"a", b"b", b"other"}),
    ],
)
def test_a_purge_forgets_what_matches_all_criteria(
    engine: sa.Engine, criteria: dict[str, str], left: set[bytes]
) -> None:
    store = EmbeddingStore(engine, 10_000)
    store.store([embedding("a"), embedding("b", route="r2"), embedding("other", team="u", env="dev")])

    assert store.purge(criteria) == 3 - len(left)
    assert store.known([b"a", b"b", b"other"], since_us=0).keys() == left


@pytest.mark.parametrize("criteria", [{}, {"team": "t"}, {"route": "r"}, {"knowledge_version": "1"}, {"env": "prod"}])
def test_what_was_asked_for_before_a_purge_is_not_stored_after_it(engine: sa.Engine, criteria: dict[str, str]) -> None:
    store = EmbeddingStore(engine, 10_000)
    before = store.purges
    store.purge(criteria)
    store.store([embedding("a")], before)
    assert store.known([b"a"], since_us=0) == {}
    store.store([embedding("a")], store.purges)
    assert store.known([b"a"], since_us=0) == {b"a": embedding("a")}


@pytest.mark.parametrize("criteria", [{"tag": "prices"}, {"team": "t", "id": "1"}])
def test_a_purge_of_what_embeddings_do_not_have_keeps_none_from_being_stored(
    engine: sa.Engine, criteria: dict[str, str]
) -> None:
    store = EmbeddingStore(engine, 10_000)
    before = store.purges
    store.purge(criteria)
    store.store([embedding("a")], before)
    assert store.known([b"a"], since_us=0) == {b"a": embedding("a")}
