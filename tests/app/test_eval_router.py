"""`thriftgate eval router`: on our own set it needs no other data; its help teaches; wrong use is told in one line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.command_line import main
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
        main, ["--config", str(configuration), "eval", "router", *arguments], env={"COLUMNS": "200"}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_our_own_set_is_evaluated_without_any_other_data(configuration: Path, tmp_path: Path) -> None:
    result = run(configuration, "--out", str(tmp_path), "--json")

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures == json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert {each["kind"] for each in figures["workload"]["kinds"]} == {
        "chat",
        "extraction",
        "code",
        "reasoning",
        "summarising",
    }
    assert figures["sets"] == []
    assert figures["speed"]["remembered"] == 20_000
    assert "our own set only" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_missing_data_set_is_named(configuration: Path, tmp_path: Path) -> None:
    result = run(configuration, "--data", str(tmp_path))

    assert result.exit_code == 2
    assert "give the folder that holds `paretobandit`" in result.stderr


def test_help_says_what_the_figures_mean(configuration: Path) -> None:
    result = run(configuration, "--help")

    assert result.exit_code == 0
    assert all(word in result.output for word in ("APGR", "CPT", "paretobandit", "routellm", "--no-budgets"))
