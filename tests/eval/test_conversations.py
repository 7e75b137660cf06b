"""Follow-ups never leave their conversation: replayed through the real cache."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.cache import policy_of
from eval.cacheability import Conversation, Turn
from eval.conversations import read_folder, replay_conversations
from tests.eval.made_streams import DIM, made_prior, unit


def same_vector(_: str) -> NDArray[np.float32]:
    return unit(np.ones(DIM))


def conversation(topic: str, *turns: Turn) -> Conversation:
    return Conversation("made", topic, turns)


SHARKS = conversation(
    "sharks", Turn("What kinds of sharks are there?", None, None), Turn("Are they endangered?", "Are sharks?", None)
)
WHALES = conversation(
    "whales", Turn("What kinds of whales are there?", None, None), Turn("Are they endangered?", "Are whales?", None)
)


@pytest.mark.parametrize("start", ["prior", "closed"])
def test_the_same_follow_up_is_not_served_in_another_conversation(start: str) -> None:
    seen: list[int] = []
    vectors = {"What kinds of sharks are there?": same_vector("")}

    found = replay_conversations(
        [SHARKS, WHALES], vectors, made_prior(), policy_of(0.01, start), same_vector, seen.append
    )

    assert (found.conversations, found.turns, found.follow_ups) == (2, 4, 2)
    assert (found.semantic, found.crossed) == (0, 0)
    assert (found.bare, found.bare_crossed) == (1, 0)
    assert sum(seen) == 4


def test_turns_shared_word_for_word_with_all_before_count_once() -> None:
    vectors = {"What kinds of sharks are there?": same_vector("")}

    found = replay_conversations([SHARKS, SHARKS], vectors, made_prior(), policy_of(0.01, "prior"), same_vector)

    assert (found.turns, found.follow_ups, found.crossed) == (2, 1, 0)


def test_a_folder_of_topics_is_read_with_what_utterances_mean_by_themselves(tmp_path: Path) -> None:
    turns = [{"number": 1, "raw_utterance": "What is it?"}, {"number": 2, "raw_utterance": "Is it treatable?"}]
    (tmp_path / "topics.json").write_text(json.dumps([{"number": 31, "turn": turns}]), encoding="utf-8")
    (tmp_path / "resolved.tsv").write_text("31_2\tIs throat cancer treatable?\n", encoding="utf-8")

    (found,) = read_folder(tmp_path)

    assert [turn.resolved for turn in found.turns] == [None, "Is throat cancer treatable?"]
