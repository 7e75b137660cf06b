"""Entries that leave one cache and enter another."""

from pathlib import Path

from msgspec.structs import replace

from cache import transfer
from cache.entries import TEXT_AT_MOST
from cache.query import CachePolicy, Query
from cache.transfer import Restores
from tests.cache.asking import ANSWER, FAR, NORWAY, PARAPHRASE, QUESTION, REWORDED, Kept, ask, disposed, served

POLICY = CachePolicy(start="prior")


async def exported(kept: Kept) -> list[transfer.Kept]:
    kept.store.flush()
    return [transfer.with_answer(each, ANSWER) for each in transfer.kept_from(list(transfer.lines(kept.store)))]


async def restored(cache: Restores, entries: list[transfer.Kept]) -> list[str]:
    return [await transfer.restore(cache, each, {"faq": POLICY}) for each in entries]


def other(tmp_path: Path, **given: object) -> Kept:
    folder = tmp_path / "other"
    folder.mkdir()
    return Kept(folder, None, **given)  # type: ignore[arg-type]


def asked(text: str = QUESTION) -> Query:
    return ask(text, policy=POLICY)


async def test_a_restored_entry_serves_as_it_did_before(kept: Kept) -> None:
    await kept.learn(asked(), ANSWER)
    entries = await exported(kept)
    kept.cache.purge()
    assert disposed(await kept(asked(), may_join=False)) == ("miss", "no-neighbour")
    assert await restored(kept.cache, entries) == ["imported"]
    assert served(await kept(asked())) == ANSWER
    assert disposed(await kept(asked(PARAPHRASE)))[0] == "semantic"


async def test_an_entry_is_restored_once_and_only_while_it_is_fresh(kept: Kept) -> None:
    await kept.learn(asked(), ANSWER)
    entries = await exported(kept)
    assert await restored(kept.cache, entries) == ["present"]
    kept.cache.purge()
    assert await transfer.restore(kept.cache, entries[0], {}) == "unknown-route"
    kept.clock.move_s(10**9)
    assert await restored(kept.cache, entries) == ["expired"]
    assert kept.count("entries") == 0


async def test_what_its_route_would_not_serve_now_is_left_out(kept: Kept) -> None:
    await kept.learn(asked(), ANSWER)
    await kept.warm(FAR, NORWAY)
    entries = await exported(kept)
    kept.cache.purge()
    kept.clock.move_s(100)
    for policy, outcomes in (
        (CachePolicy(start="prior", knowledge_version="2"), ["other-version", "other-version"]),
        (CachePolicy(start="prior", shared="helpdesk"), ["other-group", "other-group"]),
        (CachePolicy(start="prior", ttl_s=60, stale_s=30), ["expired", "imported"]),  # a curated one has its own time
    ):
        assert [await kept.cache.restore(each, policy) for each in entries] == outcomes
    assert kept.count("entries") == 1


async def test_what_a_group_of_teams_shared_is_left_out_where_it_does_not_share_it(kept: Kept) -> None:
    policy = CachePolicy(start="prior", shared="helpdesk")
    await kept.learn(ask(QUESTION, policy=policy), ANSWER)
    (entry,) = await exported(kept)
    kept.cache.purge()
    for shared in (None, "another"):
        assert await kept.cache.restore(entry, replace(policy, shared=shared)) == "other-group"
    assert await kept.cache.restore(entry, policy) == "imported"


async def test_restored_answers_that_say_the_same_share_a_group(kept: Kept) -> None:
    await kept.learn(asked(), ANSWER)
    await kept.learn(asked(FAR), NORWAY)
    entries = await exported(kept)
    entries = [replace(each, answer=words) for each, words in zip(entries, (ANSWER, REWORDED), strict=True)]
    kept.cache.purge()
    assert await restored(kept.cache, entries) == ["imported", "imported"]
    assert (kept.count("entries"), kept.count("groups")) == (2, 1)


async def test_an_imported_question_leaves_an_answer_that_it_came_to_later_to_its_own_question(kept: Kept) -> None:
    closed = CachePolicy(start="closed")
    await kept.warm(PARAPHRASE, NORWAY)
    entries = await exported(kept)
    kept.cache.purge()
    await kept.warm(QUESTION, ANSWER)
    kept.answer(await kept(ask(PARAPHRASE, policy=closed)), REWORDED)
    await kept.cache.settle()
    newer = [replace(each, created_us=each.created_us + 1) for each in entries]
    assert await restored(kept.cache, newer) == ["imported"]
    assert served(await kept(ask(policy=closed))) == ANSWER
    assert served(await kept(ask(PARAPHRASE, policy=closed))) == NORWAY


async def test_long_answers_that_begin_alike_stay_apart_and_equal_ones_together(kept: Kept) -> None:
    start = "x" * TEXT_AT_MOST
    for text, answer in ((QUESTION, "5 euros"), (PARAPHRASE, "95 euros"), (FAR, "5 euros")):
        await kept.learn(asked(text), f"{start} and so: {answer}")
    before = [entry.group_id for entry in kept.store.select()]
    kept.store.flush()
    entries = list(transfer.kept_from(list(transfer.lines(kept.store))))
    kept.cache.purge()
    whole = [transfer.with_answer(each, each.payload.decode()) for each in entries]
    assert await restored(kept.cache, whole) == ["imported"] * 3
    after = [entry.group_id for entry in kept.store.select()]
    for one, two, other in (before, after):
        assert one == other != two


async def test_a_cache_without_an_encoder_takes_entries_and_serves_them_exactly(kept: Kept, tmp_path: Path) -> None:
    await kept.learn(asked(), ANSWER)
    without = other(tmp_path)
    assert await restored(without.cache, await exported(kept)) == ["imported"]
    assert disposed(await without(asked())) == ("exact", "same-text")
    assert without.count("vectors") == 0
    without.close()


async def test_what_was_quarantined_stays_quarantined(kept: Kept) -> None:
    await kept.learn(asked(), ANSWER)
    (anchor,) = (each for entry in kept.store.select() for each in kept.store.anchors_of(entry.id))
    kept.store.quarantine(anchor.id, True)
    entries = await exported(kept)
    kept.cache.purge()
    assert await restored(kept.cache, entries) == ["imported"]
    assert disposed(await kept(asked(), may_join=False))[0] == "miss"
