"""The published examples of the standards, on what this tree signs, hashes and encrypts with."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quanmin.base import sm2
from quanmin.base.crypto import Gm, Tampered
from quanmin.base.signing import ECDSA_P256, ED25519, SHA256, SM2_SM3, SM3

# GB/T 32918.5, appendix A.2: the signature example on the recommended curve.
NUMBER = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
X = bytes.fromhex("09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020")
Y = bytes.fromhex("ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13")
POINT = b"\x04" + X + Y
TEXT = b"message digest"
R = bytes.fromhex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3")
S = bytes.fromhex("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa")
A = bytes.fromhex("fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc")
B = bytes.fromhex("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93")
GX = bytes.fromhex("32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7")
GY = bytes.fromhex("bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0")

LIBRARIES = [
    pytest.param(sm2._LibCrypto, id="libcrypto"),
    pytest.param(sm2._GmSsl, id="gmssl-pyx"),
]


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    ],
)
def test_gbt_32905_appendix_a_sm3(text: bytes, hashed: str) -> None:
    assert SM3.of(text).hex() == hashed
    assert SM3.of(text[:1], text[1:]).hex() == hashed


def test_fips_180_4_sha_256() -> None:
    hashed = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert SHA256.of(b"abc").hex() == hashed


def test_gbt_32907_appendix_a_sm4_once_and_a_million_times() -> None:
    key = block = bytes.fromhex("0123456789abcdeffedcba9876543210")
    # The standard's example is of single blocks.
    step = Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update  # noqa: S305 - see above
    block = step(block)
    assert block.hex() == "681edf34d206965e86b3e94f536e4246"
    for _ in range(999_999):
        block = step(block)
    assert block.hex() == "595298c7c6fd271f0402f804c33d3f66"


def test_rfc_8998_appendix_a_sm4_gcm_opens_under_the_gm_suite() -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    nonce = bytes.fromhex("00001234567800000000abcd")
    place = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    sealed = bytes.fromhex(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    plain = b"".join(bytes([byte]) * 8 for byte in bytes.fromhex("aabbccddeeffeeaa"))
    assert Gm().open(key, nonce + sealed, place) == plain
    with pytest.raises(Tampered):
        Gm().open(key, nonce + sealed, place + b"\0")


def test_gbt_32918_5_appendix_a_2_what_is_hashed_before_signing() -> None:
    bits = (len(sm2.SIGNER_ID) * 8).to_bytes(2, "big")
    signer = SM3.of(bits, sm2.SIGNER_ID, A, B, GX, GY, X, Y)
    assert signer.hex() == "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    hashed = SM3.of(signer, TEXT)
    assert hashed.hex() == "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    # r is that hash and the x of the one-time point that the appendix prints.
    x1 = 0x04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73
    total = (int.from_bytes(hashed, "big") + x1) % sm2.ORDER
    assert total.to_bytes(32, "big") == R


@pytest.mark.parametrize("make", LIBRARIES)
def test_gbt_32918_5_appendix_a_2_by_every_library(make: type[sm2.Library]) -> None:
    found = make()
    assert found.point(NUMBER) == POINT
    assert found.verify(POINT, TEXT, R + S, sm2.SIGNER_ID)
    assert not found.verify(POINT, TEXT, S + R, sm2.SIGNER_ID)
    assert not found.verify(POINT, TEXT, R + S, b"8765432187654321")


def test_gbt_32918_5_appendix_a_2_behind_the_interface() -> None:
    key = SM2_SM3.public_key(sm2.encode_public(POINT))
    key.verify_bare(TEXT, R + S)
    with pytest.raises(Tampered):
        key.verify_bare(TEXT + b" ", R + S)


def test_rfc_6979_appendix_a_2_5_ecdsa_with_p_256_and_sha_256() -> None:
    head = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
    x = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    y = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    s = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    key = ECDSA_P256.public_key(head + bytes.fromhex(x + y))
    key.verify_bare(b"sample", bytes.fromhex(r + s))
    with pytest.raises(Tampered):
        key.verify_bare(b"simple", bytes.fromhex(r + s))


def test_rfc_8032_7_1_test_2_ed25519() -> None:
    head = bytes.fromhex("302a300506032b6570032100")
    point = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    r = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    s = "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    key = ED25519.public_key(head + bytes.fromhex(point))
    key.verify_bare(b"\x72", bytes.fromhex(r + s))
    with pytest.raises(Tampered):
        key.verify_bare(b"\x73", bytes.fromhex(r + s))
