"""The measurement of a lookup: what it fills the scope with, and what it times."""

import random
import subprocess
import sys
from itertools import islice
from pathlib import Path

from eval.lookup_cost import wordings
from tests.running import ROOT


def test_every_wording_comes_once_and_keeps_its_answer() -> None:
    made = list(islice(wordings(random.Random(3)), 5_000))
    assert len({text for text, _ in made}) == 5_000
    assert made == list(islice(wordings(random.Random(3)), 5_000))
    assert all(answer for _, answer in made)


def test_a_small_scope_is_measured(encoder_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eval.lookup_cost", "--entries", "60", "--asked", "20", "--encoder", encoder_folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "60 entries" in done.stdout
    assert "beyond the encoder" in done.stdout


def test_senseless_sizes_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eval.lookup_cost", "--entries", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--entries must be at least 1" in done.stderr
