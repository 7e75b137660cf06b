"""`thriftgate eval cache`: on our own sets it needs no other data; wrong use is told in one line. `thriftgate eval
wordings`: a stream with the answers that were asked for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.command_line import main
from app.eval_commands import write_prior
from cache.decision import load_prior
from eval.cache_report import Priors
from tests.eval.made_streams import made_prior
from tests.running import SIMULATED


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("eval")
    path = folder / "thriftgate.toml"
    path.write_text(
        f'[encoder]\nfolder = "{encoder_folder}"\n[server]\ndata_dir = "{folder / "data"}"\n{SIMULATED}',
        encoding="utf-8",
    )
    return path


def run(configuration: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(
        main, ["--config", str(configuration), "eval", "cache", *arguments], env={"COLUMNS": "200"}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_our_own_sets_are_evaluated_without_any_other_data(configuration: Path, tmp_path: Path) -> None:
    shipped = load_prior()

    result = run(configuration, "--quick", "--budgets", "0.01", "--workers", "1", "--out", str(tmp_path), "--json")

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures == json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [stream["name"] for stream in figures["streams"]] == ["faq"]
    assert figures["streams"][0]["is_in_view"]
    assert figures["streams"][0]["settings"][0]["requests"] == 1240
    assert {category["category"] for category in figures["pairs"]} >= {"opposite", "number", "entity", "role"}
    assert figures["determinism"]["min_cosine"] >= 0.9999
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "our own sets only" in page
    assert "quick run" in page
    assert load_prior().fingerprint == shipped.fingerprint


def test_a_fitted_prior_is_written_as_it_will_be_read(tmp_path: Path) -> None:
    shipped, fitted = load_prior(), made_prior()
    path = tmp_path / "prior.json"

    priors = write_prior(Priors(shipped=shipped, of={}, whole=fitted, sources=("one", "scenes two")), path)

    written = load_prior(path.read_text(encoding="utf-8"))
    assert (written.fingerprint, written.kappas) == (fitted.fingerprint, fitted.kappas)
    assert priors.shipped is fitted
    assert json.loads(path.read_text(encoding="utf-8"))["fitted_on"] == ["one"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fit"], "--fit needs --data"),
        (["--streams", "banking77,nonsense"], "nonsense: known are banking77"),
        (["--budgets", "0.01,much"], "is not a list of numbers"),
        (["--budgets", "0"], "between 0 and 0.5"),
        (["--data", "/nowhere/at/all"], "does not exist"),
    ],
)
def test_wrong_use_is_told_in_one_line(configuration: Path, arguments: list[str], said: str) -> None:
    result = run(configuration, *arguments)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_missing_data_set_is_named(configuration: Path, tmp_path: Path) -> None:
    result = run(configuration, "--data", str(tmp_path), "--streams", "banking77")

    assert result.exit_code == 2
    assert "give the folder that holds `banking77`" in result.stderr


def test_a_missing_encoder_is_told_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "thriftgate.toml"
    path.write_text(f'[encoder]\nfolder = "{tmp_path}/none"\n{SIMULATED}', encoding="utf-8")

    result = run(path)

    assert result.exit_code == 2
    assert "make encoder" in result.stderr


# --- wordings ---


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder with three questions of banking77 and one of stackfaq; no support desk's answer is for `pin_secrets`."""
    (tmp_path / "banking77").mkdir()
    rows = "text,category\nwhere is my card,card_arrival\nis my pin a secret,pin_secrets\nhow old,age_limit\n"
    (tmp_path / "banking77" / "train.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "banking77" / "test.csv").write_text("text,category\n", encoding="utf-8")
    (tmp_path / "stackfaq_paraphrases").mkdir()
    (tmp_path / "stackfaq_paraphrases" / "StackFAQ-paraphrases.tsv").write_text("one\ttwo\n", encoding="utf-8")
    return tmp_path


def wordings_of(public: Path, stream: str, *options: str) -> Result:
    result = CliRunner().invoke(main, ["eval", "wordings", stream, "--data", str(public), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def written_by(result: Result) -> dict[str, list[str]]:
    """Question -> the wordings of its answer."""
    assert result.exit_code == 0, result.output
    items = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(item) == ["question", "answer", "wordings", "label"] for item in items)
    return {item["question"]: [item["answer"], *item["wordings"]] for item in items}


def test_a_support_desk_is_asked_only_what_it_has_answers_to(public: Path) -> None:
    everything = written_by(wordings_of(public, "banking77"))
    assert set(everything) == {"where is my card", "is my pin a secret", "how old"}

    found = written_by(wordings_of(public, "banking77", "--support"))

    assert set(found) == {"where is my card", "how old"}
    assert all(len(texts) == 12 for texts in found.values())
    assert all("18" in text for text in found["how old"])
    assert len(written_by(wordings_of(public, "banking77", "--support", "--questions", "2"))) == 2


def test_a_single_wording_of_a_support_desk_does_not_depend_on_the_seed(public: Path) -> None:
    one, two = (
        written_by(wordings_of(public, "banking77", "--support", "--wordings", "1", "--seed", seed)) for seed in "12"
    )
    assert one == two
    assert all(len(texts) == 1 for texts in one.values())


def test_chat_models_are_asked_only_what_they_have_answers_to_and_reword_them_freely(public: Path) -> None:
    found = written_by(wordings_of(public, "banking77", "--chat"))
    assert set(found) == {"where is my card"}
    lengths = [len(text.split()) for text in found["where is my card"]]
    assert len(lengths) == 6
    assert max(lengths) > 3 * min(lengths)


def test_so_many_wordings_are_written_as_are_asked_for(public: Path) -> None:
    assert all(len(texts) == 3 for texts in written_by(wordings_of(public, "banking77", "--wordings", "3")).values())
    natural = written_by(wordings_of(public, "banking77", "--natural", "--wordings", "3"))
    assert all(len(texts) == 3 for texts in natural.values())


def test_wrong_use_of_wordings_is_told(public: Path) -> None:
    both = wordings_of(public, "banking77", "--natural", "--support")
    assert both.exit_code == 2
    assert "--natural, --support and --chat exclude each other" in both.stderr
    none = wordings_of(public, "stackfaq", "--support")
    assert none.exit_code == 2
    assert "No support desk's answers were written for the labels of stackfaq" in none.stderr
    none = wordings_of(public, "stackfaq", "--chat")
    assert none.exit_code == 2
    assert "No chat models' answers were written for the labels of stackfaq" in none.stderr
