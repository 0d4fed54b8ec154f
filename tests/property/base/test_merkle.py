"""The Merkle tree equals its recursive definition in RFC 6962, and its proofs prove what they say
and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quanmin.base.merkle import (
    Hash,
    Tree,
    consistency_ranges,
    includes,
    inclusion_ranges,
    is_consistent,
    leaf_hash,
    proof,
    sha256,
    subtree_of,
)
from quanmin.base.signing import SM3


def sm3(data: bytes) -> bytes:
    return SM3.of(data)


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def defined_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*defined_path(m, leaves[:k]), defined_root(leaves[k:])]
    return [*defined_path(m - k, leaves[k:]), defined_root(leaves[:k])]


def defined_proof(m: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if m == len(leaves):
        return [] if is_whole else [defined_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*defined_proof(m, leaves[:k], is_whole=is_whole), defined_root(leaves[k:])]
    return [*defined_proof(m - k, leaves[k:], is_whole=False), defined_root(leaves[:k])]


LEAVES = st.lists(st.binary(max_size=8), max_size=70)
SOME_LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def shows(  # noqa: PLR0917 - in the order of the RFC
    hash_: Hash, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    return includes(hash_, leaf, index=index, size=size, path=path, root=root)


def links(  # noqa: PLR0917 - in the order of the RFC
    hash_: Hash, first: int, second: int, path: Sequence[bytes], before: bytes, after: bytes
) -> bool:
    return is_consistent(
        hash_, first=first, second=second, path=path, first_root=before, second_root=after
    )


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree(sha256)
    for leaf in leaves:
        tree.append(leaf_hash(sha256, leaf))
    return tree


@given(LEAVES)
def test_rfc_6962_2_1_the_root_is_as_defined(leaves: list[bytes]) -> None:
    assert grown(leaves).root() == defined_root(leaves)


@given(LEAVES, st.integers(0, 70))
def test_a_tree_goes_on_from_its_frontier_as_if_it_had_never_stopped(
    leaves: list[bytes], cut: int
) -> None:
    begun = grown(leaves[:cut])
    tree = Tree(sha256, begun.size, begun.frontier)
    for leaf in leaves[cut:]:
        tree.append(leaf_hash(sha256, leaf))
    assert (tree.size, tree.frontier) == (len(leaves), grown(leaves).frontier)


@given(LEAVES)
def test_each_subtree_is_told_once_as_it_becomes_complete(leaves: list[bytes]) -> None:
    tree, told = Tree(sha256), {}
    for leaf in leaves:
        for level, place, root in tree.append(leaf_hash(sha256, leaf)):
            assert (level, place) not in told
            told[level, place] = root
    for (level, place), root in told.items():
        assert root == defined_root(leaves[place << level : place + 1 << level])
    assert len(told) == sum(len(leaves) >> level for level in range(1, 8))


@given(SOME_LEAVES, st.data())
def test_rfc_6962_2_1_1_an_inclusion_proof_is_as_defined_and_proves(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    hashes = [leaf_hash(sha256, leaf) for leaf in leaves]
    path = proof(inclusion_ranges(index, len(leaves)), subtree_of(sha256, hashes))
    assert list(path) == defined_path(index, leaves)
    root = defined_root(leaves)
    assert shows(sha256, hashes[index], index, len(leaves), path, root)
    assert not shows(sha256, sha256(b"another"), index, len(leaves), path, root)
    assert not shows(sha256, hashes[index], index, len(leaves), path, sha256(b"another"))
    assert not shows(sha256, hashes[index], index, len(leaves), [*path, root], root)
    assert not shows(sha256, hashes[index], index, len(leaves), path[:-1], root) or not path
    other = data.draw(st.integers(-1, len(leaves)))
    if other != index:
        is_twin = 0 <= other < len(leaves) and defined_path(other, leaves) == list(path)
        assert not shows(sha256, hashes[index], other, len(leaves), path, root) or is_twin


@given(SOME_LEAVES, st.data())
def test_rfc_6962_2_1_2_a_consistency_proof_is_as_defined_and_proves(
    leaves: list[bytes], data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, len(leaves)))
    hashes = [leaf_hash(sha256, leaf) for leaf in leaves]
    path = proof(consistency_ranges(first, len(leaves)), subtree_of(sha256, hashes))
    assert list(path) == defined_proof(first, leaves)
    before, after = defined_root(leaves[:first]), defined_root(leaves)
    assert links(sha256, first, len(leaves), path, before, after)
    assert not links(sha256, first, len(leaves), path, sha256(b"another"), after)
    assert not links(sha256, first, len(leaves), path, before, sha256(b"another"))
    assert not links(sha256, first, len(leaves), [*path, after], before, after)
    changed = [*leaves]
    changed[data.draw(st.integers(0, first - 1))] += b"!"
    assert not links(sha256, first, len(leaves), path, before, defined_root(changed))


def test_an_empty_tree_is_the_beginning_of_every_tree() -> None:
    root = defined_root([b"a"])
    assert links(sha256, 0, 1, [], sha256(b""), root)
    assert not links(sha256, 0, 1, [], root, root)
    assert not links(sha256, 2, 1, [], root, root)
    assert not links(sha256, 3, 7, [], root, root)


# The leaves and roots that the reference implementation of RFC 6962 (certificate-transparency,
# merkletree tests) is held to.
RFC_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
RFC_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def test_rfc_6962_the_published_roots() -> None:
    assert grown([]).root().hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    for count, root in enumerate(RFC_ROOTS, 1):
        assert grown(RFC_LEAVES[:count]).root().hex() == root


def test_rfc_6962_the_published_proofs() -> None:
    hashes = [leaf_hash(sha256, leaf) for leaf in RFC_LEAVES]
    subtree = subtree_of(sha256, hashes)
    assert [node.hex() for node in proof(inclusion_ranges(0, 8), subtree)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [node.hex() for node in proof(inclusion_ranges(2, 3), subtree)] == [
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    ]
    assert [node.hex() for node in proof(consistency_ranges(6, 8), subtree)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [node.hex() for node in proof(consistency_ranges(2, 5), subtree)] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def test_a_tree_of_sm3_proves_likewise() -> None:
    hashes = [leaf_hash(sm3, leaf) for leaf in RFC_LEAVES]
    tree = Tree(sm3)
    roots = []
    for leaf in hashes:
        tree.append(leaf)
        roots.append(tree.root())
    subtree = subtree_of(sm3, hashes)
    for index, leaf in enumerate(hashes):
        path = proof(inclusion_ranges(index, 8), subtree)
        assert shows(sm3, leaf, index, 8, path, roots[-1])
        assert not shows(sha256, leaf, index, 8, path, roots[-1])
    for size, (before, after) in enumerate(pairwise(roots), 1):
        path = proof(consistency_ranges(size, size + 1), subtree)
        assert links(sm3, size, size + 1, path, before, after)


def test_a_frontier_that_does_not_belong_to_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="another number"):
        Tree(sha256, 3, (sha256(b""),))
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_ranges(3, 3)
    with pytest.raises(ValueError, match="grew out of it"):
        consistency_ranges(4, 3)
