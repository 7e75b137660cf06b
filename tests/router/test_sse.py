"""What cutting a stream into events promises: the network's cuts change nothing, and no byte is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from router.sse import MAX_BLOCK_BYTES, Blocks, BlockTooLong, block_data, data_block
from tests.router.samples import quick

LINE_ENDS = ["\n", "\r\n", "\r"]
NO_LINE_ENDS = ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"]
"""What Python's str.splitlines takes for the end of a line, and SSE does not."""

texts = st.text(
    st.one_of(
        st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), st.sampled_from([*NO_LINE_ENDS, "🙂", "é"])
    ),
    max_size=12,
)
lines = st.one_of(
    texts.map(lambda text: f"data: {text}"),
    texts.map(lambda text: f"data:{text}"),
    texts.map(lambda text: f": {text}"),
    texts.map(lambda text: f"event: {text}"),
    st.just("data"),
    st.just(""),
)
streams = st.lists(st.tuples(lines, st.sampled_from(LINE_ENDS)), max_size=20).map(
    lambda parts: "".join(line + end for line, end in parts).encode()
)


def fed(*chunks: bytes) -> tuple[list[bytes], bytes]:
    """The blocks that these chunks make, and what is left over."""
    blocks = Blocks()
    return [block for chunk in chunks for block in blocks.feed(chunk)], blocks.rest()


@quick
@given(streams, st.data())
def test_wherever_the_network_cuts_a_stream_its_blocks_are_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert fed(*chunks) == fed(stream)


@quick
@given(streams)
def test_a_stream_that_comes_byte_by_byte_has_the_same_blocks(stream: bytes) -> None:
    assert fed(*(stream[at : at + 1] for at in range(len(stream)))) == fed(stream)


@quick
@given(streams)
def test_no_byte_of_a_stream_is_lost(stream: bytes) -> None:
    blocks, rest = fed(stream)

    assert b"".join(blocks) + rest == stream


@quick
@given(streams)
def test_events_are_those_that_the_official_sdk_sees(stream: bytes) -> None:
    blocks, _ = fed(stream + b"\n\n\n")  # ends every event, and a CR that could be half of a CR LF

    ours = [data.decode() for block in blocks if (data := block_data(block)) is not None]
    theirs = [event.data for event in SSEDecoder().iter_bytes(iter([stream + b"\n\n\n"]))]
    assert [data for data in ours if data] == [data for data in theirs if data]


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("odd", NO_LINE_ENDS)
def test_only_lf_crlf_and_cr_end_a_line(end: str, odd: str) -> None:
    stream = f"data: a{odd}{odd}b{end}{end}data: c{end}{end}x".encode()

    blocks, _ = fed(stream)

    assert [block_data(block) for block in blocks] == [f"a{odd}{odd}b".encode(), b"c"]


def test_half_a_character_at_a_chunks_edge_does_no_harm() -> None:
    stream = data_block(json.dumps({"content": "🙂é"}, ensure_ascii=False).encode())
    middle = stream.index("🙂".encode()) + 2

    blocks, rest = fed(stream[:middle], stream[middle:])

    assert (blocks, rest) == ([stream], b"")


def test_a_cr_at_a_chunks_edge_waits_for_its_lf() -> None:
    blocks = Blocks()

    assert list(blocks.feed(b"data: a\r\n\r")) == []
    assert list(blocks.feed(b"\ndata: b\r\n\r\n")) == [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]


def test_an_event_is_given_out_with_the_byte_that_ends_it() -> None:
    blocks = Blocks()

    assert list(blocks.feed(b"data: a\n")) == []
    assert list(blocks.feed(b"\n")) == [b"data: a\n\n"]


def test_several_data_lines_are_one_payload() -> None:
    assert block_data(b"event: x\ndata: a\r\ndata:b\rid: 1\ndata:  c\n\n") == b"a\nb\n c"


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b": keep-alive\n\n", None),
        (b"\n", None),
        (b"event: ping\nid: 7\n\n", None),
        (b"database: x\n\n", None),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b"data: \n\n", b""),
        (b"data\ndata\n\n", b"\n"),
        (b"data: {}\n\n", b"{}"),
    ],
)
def test_a_block_without_data_has_none_and_an_empty_line_of_data_is_data(block: bytes, data: bytes | None) -> None:
    assert block_data(block) == data


def test_a_block_that_never_ends_is_given_up() -> None:
    blocks = Blocks()
    piece = b"x" * (MAX_BLOCK_BYTES // 2)

    assert list(blocks.feed(piece)) == []
    assert list(blocks.feed(piece)) == []
    with pytest.raises(BlockTooLong):
        list(blocks.feed(b"x"))


def test_many_short_blocks_in_one_chunk_are_not_too_long() -> None:
    chunk = data_block(b"x" * 1024) * (MAX_BLOCK_BYTES // 1024)

    assert len(fed(chunk)[0]) == MAX_BLOCK_BYTES // 1024


@quick
@given(st.binary(max_size=40).filter(lambda payload: not set(payload) & set(b"\r\n")))
def test_a_payload_comes_back_out_of_its_block(payload: bytes) -> None:
    (block,), rest = fed(data_block(payload))

    assert (block_data(block), rest) == (payload, b"")
