"""What the serving side of the encoder promises."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from cache.encoder import FP32_FILE, Encoder, Session, open_session, open_tokenizer, read_folder
from cache.errors import EncoderUnavailable, TextTooLong
from tests.conftest import ROOT

QUESTIONS = ROOT / "data" / "faq" / "questions.jsonl"


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Iterator[Encoder]:
    loaded = Encoder.load(encoder_folder)
    yield loaded
    loaded.close()


class GatedSession:
    """Counts the passes and lets none begin before `gate` is set."""

    def __init__(self, session: Session) -> None:
        self.passes = 0
        self.threads: list[int] = []
        self.gate = threading.Event()
        self._session = session

    def run(self, output_names: Sequence[str], input_feed: dict[str, NDArray[np.int64]]) -> Sequence[Any]:
        self.passes += 1
        self.threads.append(threading.get_ident())
        assert self.gate.wait(10)
        return self._session.run(output_names, input_feed)


class FailingSession:
    """Fails until `broken` is cleared."""

    def __init__(self, session: Session) -> None:
        self.broken = True
        self._session = session

    def run(self, output_names: Sequence[str], input_feed: dict[str, NDArray[np.int64]]) -> Sequence[Any]:
        if self.broken:
            raise RuntimeError("no memory")
        return self._session.run(output_names, input_feed)


@pytest.fixture
def gated(encoder_folder: Path) -> Iterator[tuple[Encoder, GatedSession]]:
    description, graph, tokenizer = read_folder(encoder_folder)
    session = GatedSession(open_session(graph))
    made = Encoder(description, open_tokenizer(tokenizer), session, threads=1, memo_texts=2)
    yield made, session
    session.gate.set()
    made.close()


@pytest.fixture
def copied_folder(encoder_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "encoder"
    shutil.copytree(encoder_folder, copy, ignore=shutil.ignore_patterns(FP32_FILE))
    return copy


def evaluation_prompts() -> list[str]:
    if not QUESTIONS.is_file():
        pytest.fail(f"{QUESTIONS} is missing: it belongs to the repository, check it out again.")
    items = [json.loads(line) for line in QUESTIONS.read_text().splitlines() if line.strip()]
    return [text for item in items for text in (item["question"], *item["paraphrases"])]


# --- Vectors --------------------------------------------------------------------------------------


def test_a_vector_has_the_models_shape_and_unit_norm(encoder: Encoder) -> None:
    for text in ("refund", "How do I reset my password?", "Wie ändere ich meine Rechnungsadresse?", "a " * 200):
        vector = encoder.encode_now(text)
        assert vector.shape == (encoder.dim,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_vector_is_a_function_of_its_text_whatever_is_encoded_around_it(encoder: Encoder) -> None:
    text = "How do I change the delivery address of my order?"
    alone = encoder.encode_now(text)
    around = [word * count for word in ("hello ", "!!! ", "Überweisung ", "42 ") for count in (1, 7, 50)]
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(encoder.encode_now, each) for _ in range(10) for each in (text, *around)]
        among_others = [future.result() for future in futures][:: len(around) + 1]
    assert all(float(alone @ vector) >= 0.9999 for vector in among_others)


async def test_encode_gives_the_vector_of_encode_now(encoder: Encoder) -> None:
    text = "Is there a student discount?"
    assert float(await encoder.encode(text) @ encoder.encode_now(text)) >= 0.9999


def test_int8_stays_close_to_fp32_on_the_evaluation_prompts(encoder_folder: Path, encoder: Encoder) -> None:
    prompts = evaluation_prompts()
    assert len(prompts) > 100
    if not (encoder_folder / FP32_FILE).is_file():
        pytest.fail(f"{encoder_folder / FP32_FILE} is missing: export with `--keep-fp32` (`make encoder` does).")
    _, _, tokenizer_json = read_folder(encoder_folder)
    tokenizer = open_tokenizer(tokenizer_json)
    fp32 = ort.InferenceSession(encoder_folder / FP32_FILE, providers=["CPUExecutionProvider"])

    def cosine(text: str) -> float:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        return float(fp32.run(None, {"input_ids": ids})[0] @ encoder.encode_now(text))

    cosines = np.array([cosine(text) for text in prompts])
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.9


def test_a_paraphrase_is_nearer_than_another_question(encoder: Encoder) -> None:
    texts = ("How do I reset my password?", "I forgot my password, what now?", "Do you ship to Norway?")
    question, paraphrase, other = map(encoder.encode_now, texts)
    assert question @ paraphrase > question @ other + 0.3


async def test_a_shared_vector_cannot_be_written_to(encoder: Encoder) -> None:
    vector = await encoder.encode("shared")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 0.0


# --- Length ---------------------------------------------------------------------------------------


def test_tokens_are_counted_as_the_pass_will_read_them(encoder: Encoder) -> None:
    assert encoder.token_count("") == 2  # [CLS] and [SEP]
    assert encoder.token_count("How do I change the delivery address of my order?") == 13


def test_a_text_that_just_fits_is_encoded_and_one_token_more_raises(encoder: Encoder) -> None:
    fits = "word " * (encoder.max_tokens - 2)
    assert encoder.encode_now(fits).shape == (encoder.dim,)
    with pytest.raises(TextTooLong) as caught:
        encoder.encode_now(fits + "word")
    assert (caught.value.tokens, caught.value.max_tokens) == (encoder.max_tokens + 1, encoder.max_tokens)


async def test_a_too_long_text_raises_every_time_it_is_asked_for(encoder: Encoder) -> None:
    for _ in range(2):
        with pytest.raises(TextTooLong):
            await encoder.encode("word " * 1000)


# --- Sharing --------------------------------------------------------------------------------------


async def test_concurrent_callers_of_one_text_share_one_pass(gated: tuple[Encoder, GatedSession]) -> None:
    encoder, session = gated
    callers = [asyncio.create_task(encoder.encode("the same")) for _ in range(20)]
    await asyncio.sleep(0)
    session.gate.set()
    vectors = await asyncio.gather(*callers)
    assert session.passes == 1
    assert all(vector is vectors[0] for vector in vectors)


async def test_a_recent_text_needs_no_pass_and_the_least_recent_is_forgotten(
    gated: tuple[Encoder, GatedSession],
) -> None:
    encoder, session = gated
    session.gate.set()
    for text in ("one", "two", "one", "three", "one"):  # two are remembered: "two" makes room for "three"
        await encoder.encode(text)
    assert session.passes == 3
    await encoder.encode("two")
    assert session.passes == 4


async def test_a_pass_begins_when_it_is_asked_for_and_not_when_it_is_awaited(
    gated: tuple[Encoder, GatedSession],
) -> None:
    encoder, session = gated
    session.gate.set()
    asked = encoder.encode("at once")
    await asyncio.to_thread(encoder.close)  # which waits for what has begun
    assert session.passes == 1
    assert (await asked).shape == (encoder.dim,)


async def test_a_cancelled_waiter_harms_no_other(gated: tuple[Encoder, GatedSession]) -> None:
    encoder, session = gated
    busy = asyncio.create_task(encoder.encode("keeps the only thread busy"))
    first, second = (asyncio.create_task(encoder.encode("waits in the queue")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    session.gate.set()
    assert (await second).shape == (encoder.dim,)
    await busy


async def test_a_pass_that_was_begun_beforehand_is_shared_with_whoever_asks(
    gated: tuple[Encoder, GatedSession],
) -> None:
    encoder, session = gated
    encoder.encode("beforehand").close()
    session.gate.set()
    assert (await encoder.encode("beforehand")).shape == (encoder.dim,)
    assert session.passes == 1


async def test_a_pass_that_all_have_left_still_serves_the_next_caller(gated: tuple[Encoder, GatedSession]) -> None:
    encoder, session = gated
    only = asyncio.create_task(encoder.encode("abandoned"))
    await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    session.gate.set()
    assert (await encoder.encode("abandoned")).shape == (encoder.dim,)
    assert session.passes == 1


async def test_a_failed_pass_is_not_remembered(encoder_folder: Path) -> None:
    description, graph, tokenizer = read_folder(encoder_folder)
    session = FailingSession(open_session(graph))
    encoder = Encoder(description, open_tokenizer(tokenizer), session)
    with pytest.raises(RuntimeError, match="no memory"):
        await encoder.encode("again")
    session.broken = False
    assert (await encoder.encode("again")).shape == (encoder.dim,)
    session.broken = True
    with pytest.raises(RuntimeError, match="no memory"):
        await encoder.encode("once more", here=True)
    session.broken = False
    assert (await encoder.encode("once more", here=True)).shape == (encoder.dim,)
    encoder.close()


async def test_who_has_nobody_beside_him_gets_a_short_text_encoded_on_his_own_thread(
    gated: tuple[Encoder, GatedSession],
) -> None:
    encoder, session = gated
    session.gate.set()
    short, long, wide = "How do I reset my password?", "word " * 41, "密码" * 34
    vector = await encoder.encode(short, here=True)
    assert session.threads == [threading.get_ident()]
    assert await encoder.encode(short) is vector
    assert await encoder.encode(short, here=True) is vector
    assert np.array_equal(vector, encoder.encode_now(short))
    session.threads.clear()
    await encoder.encode(long, here=True)
    await encoder.encode(wide, here=True)
    await encoder.encode("not here")
    encoder.is_quick = False
    await encoder.encode("a large encoder", here=True)
    assert len(session.threads) == 4
    assert threading.get_ident() not in session.threads


async def test_a_pass_under_way_is_waited_for_and_not_done_again_here(gated: tuple[Encoder, GatedSession]) -> None:
    encoder, session = gated
    first = asyncio.create_task(encoder.encode("the same"))
    await asyncio.sleep(0)
    second = asyncio.create_task(encoder.encode("the same", here=True))
    session.gate.set()
    assert await first is await second
    assert session.passes == 1


async def test_the_event_loop_runs_on_during_a_pass(gated: tuple[Encoder, GatedSession]) -> None:
    encoder, session = gated
    waiting = asyncio.create_task(encoder.encode("slow"))
    await asyncio.sleep(0.05)  # returns although the pass cannot begin
    assert not waiting.done()
    session.gate.set()
    await waiting


# --- Loading --------------------------------------------------------------------------------------


def test_the_encoder_names_its_model_and_vector_space(encoder_folder: Path, encoder: Encoder) -> None:
    again = Encoder.load(encoder_folder)
    again.close()
    assert (encoder.model, encoder.dim, encoder.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert again.fingerprint == encoder.fingerprint
    assert len(encoder.fingerprint) == 16


def test_another_prefix_is_another_vector_space(copied_folder: Path, encoder: Encoder) -> None:
    rewrite(copied_folder, prefix="query: ", probe_text="How do I")  # the probe is checked with the prefix
    with pytest.raises(EncoderUnavailable, match="probe"):
        Encoder.load(copied_folder)
    description, graph, tokenizer = read_folder(copied_folder)
    prefixed = Encoder(description, open_tokenizer(tokenizer), open_session(graph))
    prefixed.close()
    assert prefixed.fingerprint != encoder.fingerprint
    assert prefixed.encode_now("refund") @ encoder.encode_now("query: refund") >= 0.9999
    assert prefixed.token_count("refund") == encoder.token_count("query: refund")


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable) as caught:
        Encoder.load(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "run `make encoder` or `python -m cache.export --out DIR` in an environment with the `export` extra" in str(
        caught.value
    )


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
def test_an_incomplete_folder_names_the_missing_file(copied_folder: Path, name: str) -> None:
    (copied_folder / name).unlink()
    with pytest.raises(EncoderUnavailable, match=f"{name} cannot be read.*make encoder"):
        Encoder.load(copied_folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_tampered_file_is_refused(copied_folder: Path, name: str) -> None:
    content = bytearray((copied_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied_folder / name).write_bytes(content)
    with pytest.raises(EncoderUnavailable, match=f"{name} is not the file that was exported: its sha256 is"):
        Encoder.load(copied_folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}', "null"])
def test_a_broken_description_is_refused(copied_folder: Path, content: str) -> None:
    (copied_folder / "encoder.json").write_text(content)
    with pytest.raises(EncoderUnavailable, match=r"encoder\.json is not an encoder's description"):
        Encoder.load(copied_folder)


def test_a_folder_of_another_format_is_refused(copied_folder: Path) -> None:
    rewrite(copied_folder, format=99)
    with pytest.raises(EncoderUnavailable, match="has format 99, this version reads format 1"):
        Encoder.load(copied_folder)


def test_a_machine_that_computes_other_vectors_is_refused(copied_folder: Path) -> None:
    rewrite(copied_folder, probe_text="not the sentence that was measured")
    with pytest.raises(EncoderUnavailable, match="--reduce-range"):
        Encoder.load(copied_folder)


def test_the_serving_side_never_imports_torch() -> None:
    program = (
        "import sys, cache.encoder\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def rewrite(folder: Path, **fields: object) -> None:
    path = folder / "encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
