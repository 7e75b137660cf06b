"""What is known of a scope: it counts until other scopes have been learnt from since, after a restart as well."""

from cache.query import Directives
from cache.scope_evidence import ScopeEvidences
from tests.cache.asking import ANSWER, FAR, NORWAY, OTHER, PARAPHRASE, QUESTION, Compass, Keep, ask


def test_what_is_stored_of_a_scope_says_the_same_when_it_is_loaded() -> None:
    before, after = ScopeEvidences(), ScopeEvidences()
    known = before.of(b"scope")
    known.of_group(1).add(0.97, is_right=False)
    known.of_group(2).add(0.9, is_right=True)
    known.clarity.add(0.4)
    known.clarity.add_same(is_repeated=True)
    stored = before.stored(b"scope")
    assert stored is not None
    after.load({b"scope": stored})
    assert after.of(b"scope") == known
    assert after.offsets(b"scope") == before.offsets(b"scope") != (0.0, 0.0)


def test_of_a_scope_that_nothing_is_known_of_nothing_is_stored() -> None:
    scopes = ScopeEvidences()
    scopes.of(b"met")
    assert scopes.stored(b"met") is None
    assert scopes.stored(b"never met") is None
    assert scopes.offsets(b"never met") == (0.0, 0.0)


def test_of_many_scopes_the_ones_that_were_learnt_from_last_are_known() -> None:
    scopes = ScopeEvidences()
    for number in range(10_000):
        scopes.of(b"%d" % number).alone.add(0.97, is_right=False)
    scopes.of(b"0")
    scopes.of(b"one more")
    assert scopes.stored(b"1") is None
    assert scopes.offsets(b"0") != (0.0, 0.0)


async def test_what_labels_have_shown_of_a_scope_counts_after_a_restart(keep: Keep) -> None:
    """A wrong label of one answer tells of the others of its scope, which have no label of their own."""
    directions = Compass({QUESTION: 0, PARAPHRASE: 25, FAR: 105, "Is Norway shipped to?": 130})
    before = keep(directions)
    await before.learn(ask(), ANSWER)
    await before.learn(ask(FAR), NORWAY)
    before.answer(await before(ask(PARAPHRASE)), OTHER)
    await before.cache.settle()
    assert [verdict for _, _, verdict in before.labels] == ["different"]
    norway = ask("Is Norway shipped to?", directives=Directives(only_if_cached=True))
    learnt = (await before(norway)).confidence
    assert learnt is not None
    before.close()
    assert (await keep(directions)(norway)).confidence == learnt
