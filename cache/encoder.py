"""Turns one text into one unit vector, with ONNX Runtime, from a folder that `cache/export.py` wrote.

Owns the format of that folder, the tokens' limit, the threads and the memory of recent vectors. Refuses to
know torch, HTTP, scopes and what the vectors are used for.

One text per pass, at its true length, without padding: dynamic int8 takes its scale from everything in the
batch, so a vector would depend on its batch mates (cosine down to 0.93). A vector is a function of its text.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from cache.errors import EncoderUnavailable, TextTooLong
from cache.memory import return_freed

FORMAT: Final = 1
MODEL_FILE: Final = "model.onnx"
FP32_FILE: Final = "model.fp32.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
DESCRIPTION_FILE: Final = "encoder.json"
GRAPH_INPUT: Final = "input_ids"
GRAPH_OUTPUT: Final = "sentence"
NEXT_STEP: Final = "run `make encoder` or `python -m cache.export --out DIR` in an environment with the `export` extra"

_HERE_AT_MOST: Final = 200
"""Bytes of a text that may be encoded on its caller's thread: some 50 tokens, with the default encoder 3 ms."""
_PROBE_AT_MOST_S: Final = 0.003
"""How long the probe's nine tokens may take for that: a larger encoder would hold up who comes meanwhile."""

# int8 kernels of CPUs without VNNI may saturate (onnxruntime's documentation on quantisation, "U8S8");
# other differences between CPUs are rounding, far below this.
_PROBE_MIN_COSINE: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What `encoder.json` says of the folder that it lies in."""

    format: int
    model: str
    weights_sha256: str
    """Of the weights that the graph was made from, as their publisher ships them."""
    dim: int
    max_tokens: int
    """The most tokens a text may have, the tokenizer's own ([CLS], [SEP]) and the prefix included."""
    prefix: str
    """What this model wants before every text; empty for most."""
    reduce_range: bool
    """Whether weights have 7 bits, for CPUs whose int8 arithmetic saturates."""
    onnx_sha256: str
    tokenizer_sha256: str
    cosine_mean: float
    """int8 against fp32 over the export's sample sentences; `cosine_min` likewise."""
    cosine_min: float
    probe_text: str
    probe_vector: str
    """The vector that the export measured for `probe_text`: little-endian float32, base64."""


def fingerprint(description: Description) -> str:
    """16 hex digits that name the vector space: vectors of different fingerprints must never be compared."""
    parts = (description.format, description.onnx_sha256, description.tokenizer_sha256, description.prefix)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def pack_vector(vector: NDArray[np.float32]) -> str:
    """(dim,) -> base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def unpack_vector(text: str) -> NDArray[np.float32]:
    """The reverse of `pack_vector`. Raises ValueError where the text is no such thing."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def read_folder(folder: Path) -> tuple[Description, bytes, bytes]:
    """(description, graph, tokenizer) of a complete folder, checksums verified; else EncoderUnavailable.

    The bytes are returned, not the paths, so that what was checked is what is served.
    """
    if not folder.is_dir():
        raise EncoderUnavailable(f"There is no encoder folder at {folder}. Next step: {NEXT_STEP}.")
    description = _parse_description(folder / DESCRIPTION_FILE)
    graph = _read_verified(folder / MODEL_FILE, description.onnx_sha256)
    tokenizer = _read_verified(folder / TOKENIZER_FILE, description.tokenizer_sha256)
    return description, graph, tokenizer


def _parse_description(path: Path) -> Description:
    try:
        fields = json.loads(_read(path))
        found = fields["format"]
        if found == FORMAT:
            return Description(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise EncoderUnavailable(f"{path} is not an encoder's description. Next step: {NEXT_STEP}.") from error
    raise EncoderUnavailable(
        f"{path} has format {found}, this version reads format {FORMAT}. Next step: remove the folder, {NEXT_STEP}."
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EncoderUnavailable(
            f"{path} cannot be read ({error.strerror}): the encoder folder is incomplete. Next step: {NEXT_STEP}."
        ) from error


def _read_verified(path: Path, sha256: str) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise EncoderUnavailable(
            f"{path} is not the file that was exported: its sha256 is {found}, "
            f"{DESCRIPTION_FILE} says {sha256}. Next step: remove the folder, {NEXT_STEP}."
        )
    return content


class Session(Protocol):
    """The one thing asked of an ONNX Runtime session; must be callable from several threads at once."""

    def run(self, output_names: Sequence[str], input_feed: dict[str, NDArray[np.int64]]) -> Sequence[Any]: ...


def open_session(graph: bytes) -> ort.InferenceSession:
    """A session that runs one text on one thread."""
    options = ort.SessionOptions()
    # Measured on two cores, 13 tokens: 1.06 ms with one thread, 1.09 ms with two; 64 tokens: 3.3 and 3.0 ms.
    # A second thread buys more by taking another text.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # It would remember a plan for every length of text, and one block of memory as large as all of it: 3 to 8 MB more
    # after some long texts, and no faster.
    options.enable_mem_pattern = False
    # The fused kernel is slower on CPU than the two that it replaces: 1.43 against 1.06 ms a text.
    session = ort.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )
    session._model_bytes = None  # it would keep a second copy of the graph, 22 MB, for as long as it lives
    return session


def open_tokenizer(content: bytes) -> Tokenizer:
    """The tokenizer without truncation and padding, whatever its file says."""
    tokenizer = Tokenizer.from_str(content.decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Encoder:
    """One model, loaded. Safe to call from several threads; `encode` belongs to one event loop at a time."""

    dim: int
    max_tokens: int
    model: str
    fingerprint: str
    """Names the exact vector space; stored beside vectors."""

    def __init__(
        self,
        description: Description,
        tokenizer: Tokenizer,
        session: Session,
        *,
        threads: int = 2,
        memo_texts: int = 256,
    ) -> None:
        """`memo_texts` is how many recent vectors are remembered, at 4 * dim bytes each."""
        self.is_quick = True
        """Whether a short text may be encoded on its caller's thread."""
        self.dim = description.dim
        self.max_tokens = description.max_tokens
        self.model = description.model
        self.fingerprint = fingerprint(description)
        self._prefix = description.prefix
        self._tokenizer = tokenizer
        self._session = session
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")
        # Passes under way and done, least recently used first. The key is a digest: its size is bounded.
        self._passes: OrderedDict[bytes, Future[NDArray[np.float32]]] = OrderedDict()
        self._memo_texts = memo_texts

    @classmethod
    def load(cls, folder: Path, threads: int = 2, memo_texts: int = 256) -> "Encoder":
        """The encoder of a folder that `python -m cache.export` wrote, warmed up by one pass.

        Raises EncoderUnavailable, with the next step, where the folder is missing, incomplete, altered or of
        another format, or where this machine computes other vectors than the export measured.
        """
        description, graph, tokenizer = read_folder(folder)
        try:
            encoder = cls(
                description,
                open_tokenizer(tokenizer),
                open_session(graph),
                threads=threads,
                memo_texts=memo_texts,
            )
            cosine = float(encoder.encode_now(description.probe_text) @ unpack_vector(description.probe_vector))
            encoder.is_quick = encoder._pass_s(description.probe_text) <= _PROBE_AT_MOST_S
        # Broad: tokenizers raises bare Exception, onnxruntime classes without a public base.
        except Exception as error:
            raise EncoderUnavailable(
                f"{folder} is intact but cannot be loaded here ({error}). Next step: install the versions of "
                f"onnxruntime and tokenizers that pyproject.toml asks for, or {NEXT_STEP}."
            ) from error
        if not cosine >= _PROBE_MIN_COSINE:  # said this way round, a NaN fails too
            encoder.close()
            raise EncoderUnavailable(
                f"{folder} was exported on a machine with other int8 arithmetic: its probe sentence has "
                f"cosine {cosine:.4f} here, at least {_PROBE_MIN_COSINE} is needed. Next step: run "
                "`python -m cache.export --reduce-range --force --out DIR` and use that folder on all machines."
            )
        del graph, tokenizer
        return_freed()  # 10 MB that only reading the graph took
        return encoder

    def token_count(self, text: str) -> int:
        """How many tokens a pass over `text` would read; more than `max_tokens` cannot be encoded."""
        return len(self._tokenizer.encode(self._prefix + text).ids)

    def encode_now(self, text: str) -> NDArray[np.float32]:
        """The vector of `text`: shape (dim,), float32, unit norm, read-only. Blocks for one pass.

        Raises TextTooLong instead of truncating.
        """
        ids = self._tokenizer.encode(self._prefix + text).ids
        if len(ids) > self.max_tokens:
            raise TextTooLong(len(ids), self.max_tokens)
        (vector,) = self._session.run([GRAPH_OUTPUT], {GRAPH_INPUT: np.array([ids], dtype=np.int64)})
        unit: NDArray[np.float32] = vector
        unit.flags.writeable = False  # one array is handed to every caller of the same text
        return unit

    def encode(self, text: str, *, here: bool = False) -> Coroutine[Any, Any, NDArray[np.float32]]:
        """`encode_now` off the event loop, begun at once and not only when it is awaited; callers of the same text
        share one pass and its vector. With `here` a short text is encoded on this thread, before the coroutine is
        returned: for a caller with nobody beside him, who would only wait for two threads to wake up."""
        written = text.encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(written, digest_size=16).digest()
        running = self._passes.get(key)
        if running is None or _failed(running):  # failed: all who waited for it had left
            is_here = here and self.is_quick and len(written) <= _HERE_AT_MOST
            running = self._passes[key] = self._pass_here(text) if is_here else self._pool.submit(self.encode_now, text)
            if len(self._passes) > self._memo_texts:
                self._passes.popitem(last=False)
        else:
            self._passes.move_to_end(key)
        return self._vector_of(key, running)

    def _pass_s(self, text: str) -> float:
        """The least time that a pass takes, of three."""
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            self.encode_now(text)
            times.append(time.perf_counter() - begun)
        return min(times)

    def _pass_here(self, text: str) -> Future[NDArray[np.float32]]:
        done: Future[NDArray[np.float32]] = Future()
        try:
            done.set_result(self.encode_now(text))
        except Exception as error:  # noqa: BLE001  raised where the vector is awaited
            done.set_exception(error)
        return done

    async def _vector_of(self, key: bytes, running: Future[NDArray[np.float32]]) -> NDArray[np.float32]:
        try:
            if not running.done():
                await _end_of(running)
            return running.result()
        finally:
            if _failed(running) and self._passes.get(key) is running:
                del self._passes[key]

    def close(self) -> None:
        """Finishes the passes under way and ends the threads. Encoding afterwards raises RuntimeError."""
        self._pool.shutdown(wait=True)


def _end_of(running: Future[NDArray[np.float32]]) -> asyncio.Future[None]:
    """Done when the pass is. It belongs to one who waits: the pass to all of them, it goes on when one leaves.
    `asyncio.wrap_future` behind `asyncio.shield` does the same in two more rounds of the event loop."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(end)

    running.add_done_callback(tell)
    return ended


def _failed(running: Future[NDArray[np.float32]]) -> bool:
    return running.done() and (running.cancelled() or running.exception() is not None)
