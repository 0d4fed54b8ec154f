"""However a file arrives, its lines are the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from quanmin.fhir.ndjson import LineCutter, Lines

LIMIT = 12
MARK = "\ufeff".encode()


@example([MARK + b"{}", MARK], [1, 1, 1], b"")
@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"x")), max_size=20),
    st.lists(st.integers(1, 40)),
    st.sampled_from([b"", b"\n"]),
)
def test_lines_are_cut_alike_from_chunks_of_any_size(
    lines: list[bytes], sizes: list[int], end: bytes
) -> None:
    content = b"\n".join(lines) + end
    cutter = LineCutter(entries_max=3, bytes_max=30, line_bytes_max=LIMIT)
    pieces: list[Lines] = []
    rest = content
    for size in [*sizes, len(content) + 1]:
        pieces += cutter.feed(rest[:size])
        rest = rest[size:]
    pieces += cutter.finish()
    wanted = content.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    numbered = dict(enumerate(wanted, 1))
    found = {
        number: body
        for piece in pieces
        for number, body in zip(piece.numbers, piece.bodies, strict=True)
    }
    bare = {n: b.removeprefix(MARK if n == 1 else b"").strip() for n, b in numbered.items()}
    assert found == {n: b for n, b in bare.items() if b and len(numbered[n]) <= LIMIT}
    too_long = [number for piece in pieces for number in piece.too_long]
    assert too_long == [number for number, body in numbered.items() if len(body) > LIMIT]
    assert cutter.end == len(wanted)
    assert all(len(piece.bodies) <= 3 for piece in pieces)
    ends = [piece.end for piece in pieces]
    assert ends == sorted(ends)
