"""A certificate is believed because an accepted authority vouches for it, or the reason is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import crl, pem, x509
from authority import AUTHORITY_USAGES, NOW, YEAR, Authority
from OpenSSL import crypto

from quanmin.base.authorities import Authorities, Purpose, read_folder
from quanmin.base.certificates import Certificate, CertificateUnreadable, read_certificate
from quanmin.base.issuing import name
from quanmin.base.problems import Unusable
from quanmin.base.revocation import RevocationList, StatusAnswer, Statuses, StatusUnreadable
from quanmin.base.signing import ALGORITHMS, ECDSA_P256, SM2_SM3, Algorithm

EACH = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda each: each.name)
SUITES = pytest.mark.parametrize("algorithm", [ECDSA_P256, SM2_SM3], ids=lambda each: each.name)
LISTED = "http://lists.example.org/root.crl"
DAY = timedelta(days=1)


class Chain:
    """A root, an authority below it and someone's certificate."""

    def __init__(self, algorithm: Algorithm, **leaf: Any) -> None:
        self.root = Authority(algorithm)
        self.middle = Authority(algorithm, "Middle", above=self.root, path_length=0)
        self.key = algorithm.private_key(b"l" * 32)
        self.leaf = self.middle.certify(self.key.public, **leaf)

    @property
    def presented(self) -> list[Certificate]:
        return [self.leaf, self.middle.certificate]

    def reasons(self, *sources: bytes, purpose: Purpose = "signature", **changed: Any) -> set[str]:
        """Why the leaf is refused; lists and answers as the folder would hold them."""
        known = Statuses(_source(der) for der in sources)
        authorities = Authorities([self.root.certificate], statuses=known)
        asked = {"moment": NOW, "now": NOW} | changed
        verdict = authorities.check(self.presented, asked["moment"], purpose, now=asked["now"])
        assert verdict.is_accepted == (not verdict.refusals)
        return {refusal.reason for refusal in verdict.refusals}


def _source(der: bytes) -> RevocationList | StatusAnswer:
    try:
        return RevocationList(der)
    except StatusUnreadable:
        return StatusAnswer(der)


@EACH
def test_a_chain_to_an_accepted_authority_is_believed(algorithm: Algorithm) -> None:
    chain = Chain(algorithm)
    assert chain.reasons() == set()
    verdict = Authorities([chain.root.certificate]).check(chain.presented, NOW, "signature")
    assert verdict.path == (*chain.presented, chain.root.certificate)


@EACH
def test_openssl_believes_the_same_chain_and_disbelieves_the_same_forgery(
    algorithm: Algorithm,
) -> None:
    chain, other = Chain(algorithm), Authority(algorithm, "Other")
    assert _openssl_believes(chain.presented, chain.root.certificate)
    assert not _openssl_believes(chain.presented, other.certificate)
    forged = Chain(algorithm)
    forged.leaf = _changed(chain.leaf, chain.leaf.signature)
    assert not _openssl_believes(forged.presented, chain.root.certificate)
    assert forged.reasons() == {"not-signed-by-authority"}


def _openssl_believes(presented: list[Certificate], root: Certificate) -> bool:
    store = crypto.X509Store()
    store.set_time(NOW)
    loaded = [crypto.load_certificate(crypto.FILETYPE_ASN1, each.der) for each in presented]
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, root.der))
    try:
        crypto.X509StoreContext(store, loaded[0], loaded[1:]).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def _changed(certificate: Certificate, part: bytes) -> Certificate:
    at = certificate.der.index(part) + len(part) // 2
    der = certificate.der
    return read_certificate(der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :])


@SUITES
def test_several_authorities_are_accepted_side_by_side(algorithm: Algorithm) -> None:
    roots = [Authority(each, f"Root {each.name}") for each in ALGORITHMS.values()]
    authorities = Authorities(root.certificate for root in roots)
    for root in roots:
        leaf = root.certify(algorithm.private_key(b"l" * 32).public)
        assert authorities.check([leaf], NOW, "signature").is_accepted


@EACH
def test_an_unknown_authority_is_refused(algorithm: Algorithm) -> None:
    chain = Chain(algorithm)
    stranger = Authorities([Authority(algorithm, "Another").certificate])
    verdict = stranger.check(chain.presented, NOW, "signature")
    assert [each.reason for each in verdict.refusals] == ["unknown-authority"]
    # A root that is only handed in is believed by nobody.
    whole = [*chain.presented, chain.root.certificate]
    assert not stranger.check(whole, NOW, "signature").is_accepted


def test_an_authority_of_the_same_name_and_another_key_is_refused() -> None:
    chain = Chain(ECDSA_P256)
    false = Authority(SM2_SM3)
    assert false.certificate.subject == chain.root.certificate.subject
    verdict = Authorities([false.certificate]).check(chain.presented, NOW, "signature")
    assert not verdict.is_accepted


@SUITES
@pytest.mark.parametrize(
    ("moment", "reasons"),
    [
        (NOW - YEAR - DAY, {"not-yet-valid"}),
        (NOW - YEAR, set()),
        (NOW + YEAR, set()),
        (NOW + YEAR + timedelta(seconds=1), {"expired"}),
    ],
)
def test_a_certificate_holds_from_its_first_to_its_last_second(
    algorithm: Algorithm, moment: Any, reasons: set[str]
) -> None:
    chain = Chain(algorithm)
    # The authorities' own certificates are valid throughout.
    chain.root = Authority(algorithm, not_before=NOW - 3 * YEAR)
    chain.middle = Authority(algorithm, "Middle", above=chain.root, not_before=NOW - 3 * YEAR)
    chain.leaf = chain.middle.certify(chain.key.public)
    assert chain.reasons(moment=moment, now=moment) == reasons


def test_an_expired_authority_vouches_for_nobody() -> None:
    chain = Chain(ECDSA_P256)
    chain.middle = Authority(ECDSA_P256, "Middle", above=chain.root, not_after=NOW - DAY)
    assert chain.reasons() == {"expired"}


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"usages": frozenset({"digital_signature"})}, set()),
        ({"usages": frozenset({"non_repudiation"})}, set()),
        # Of the two certificates that Chinese authorities give out, the one for encryption.
        ({"usages": frozenset({"key_encipherment", "data_encipherment"})}, {"wrong-usage"}),
        ({"purposes": ("server_auth",)}, {"wrong-usage"}),
        ({"purposes": ("email_protection",)}, set()),
        ({"purposes": ("time_stamping",)}, {"wrong-usage"}),
        ({"more": (("1.2.3.4.5", True, b"\x05\x00"),)}, {"not-understood"}),
        ({"more": (("1.2.3.4.5", False, b"\x05\x00"),)}, set()),
    ],
)
def test_a_certificate_is_taken_for_what_it_is_for(
    changed: dict[str, Any], reasons: set[str]
) -> None:
    assert Chain(SM2_SM3, **changed).reasons() == reasons


@pytest.mark.parametrize(
    ("purposes", "more", "reasons"),
    [
        (("time_stamping",), (), set()),
        (("time_stamping", "client_auth"), (), {"wrong-usage"}),
        ((), (), {"wrong-usage"}),
        # Not critically so.
        ((), (("extended_key_usage", False, ["time_stamping"]),), {"wrong-usage"}),
    ],
)
def test_rfc_3161_2_3_a_stamp_needs_a_certificate_for_stamps_alone(
    purposes: tuple[str, ...], more: tuple[Any, ...], reasons: set[str]
) -> None:
    chain = Chain(ECDSA_P256, purposes=purposes, more=more)
    assert chain.reasons(purpose="timestamp") == reasons


@SUITES
def test_rfc_5280_6_1_4_a_persons_certificate_certifies_nobody(algorithm: Algorithm) -> None:
    chain = Chain(algorithm)
    person = Authority(
        algorithm,
        "Person",
        above=chain.root,
        is_authority=False,
        usages=frozenset({"digital_signature"}),
    )
    leaf = person.certify(chain.key.public)
    verdict = Authorities([chain.root.certificate]).check(
        [leaf, person.certificate], NOW, "signature"
    )
    assert {each.reason for each in verdict.refusals} == {"no-authority"}


def test_rfc_5280_6_1_4_an_authority_goes_no_further_down_than_it_may() -> None:
    chain = Chain(ECDSA_P256)
    lower = Authority(ECDSA_P256, "Lower", above=chain.middle)
    leaf = lower.certify(chain.key.public)
    verdict = Authorities([chain.root.certificate]).check(
        [leaf, lower.certificate, chain.middle.certificate], NOW, "signature"
    )
    assert {each.reason for each in verdict.refusals} == {"path-too-long"}


NAMED = (("country_name", "CN"), ("organization_name", "Clinic"), ("common_name", "Leaf"))


def _directory(*parts: tuple[str, str]) -> x509.GeneralName:
    return x509.GeneralName("directory_name", name(parts))


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize(
    ("side", "tree", "alternative", "believed"),
    [
        ("permitted", _directory(*NAMED[:2]), None, True),
        ("permitted", _directory(("country_name", "cn")), None, True),
        ("permitted", _directory(("country_name", "FR")), None, False),
        ("excluded", _directory(*NAMED[:2]), None, False),
        ("excluded", _directory(("country_name", "FR")), None, True),
        ("permitted", ("dns_name", "a.org"), ("dns_name", "x.A.org"), True),
        ("permitted", ("dns_name", "a.org"), ("dns_name", "ba.org"), False),
        ("excluded", ("dns_name", "a.org"), ("dns_name", "a.org"), False),
        ("permitted", ("rfc822_name", "a.org"), ("rfc822_name", "me@a.org"), True),
        ("permitted", ("rfc822_name", "a.org"), ("rfc822_name", "me@x.a.org"), False),
        ("permitted", ("rfc822_name", ".a.org"), ("rfc822_name", "me@x.a.org"), True),
        ("permitted", ("rfc822_name", "me@a.org"), ("rfc822_name", "you@a.org"), False),
        ("permitted", ("ip_address", "10.0.0.0/8"), ("ip_address", "10.1.2.3"), True),
        ("permitted", ("ip_address", "10.0.0.0/8"), ("ip_address", "11.1.2.3"), False),
        (
            "permitted",
            ("uniform_resource_identifier", ".a.org"),
            ("uniform_resource_identifier", "https://x.a.org/1"),
            True,
        ),
        (
            "excluded",
            ("uniform_resource_identifier", "a.org"),
            ("uniform_resource_identifier", "urn:oid:1.2.3"),
            False,
        ),
        # A constraint on one form says nothing of another.
        ("permitted", ("dns_name", "a.org"), ("rfc822_name", "me@b.org"), True),
        ("permitted", ("registered_id", "1.2.3"), ("registered_id", "1.2.3"), False),
    ],
)
def test_rfc_5280_4_2_1_10_an_authority_certifies_within_the_names_it_was_given(
    side: str, tree: Any, alternative: Any, *, believed: bool, critical: bool
) -> None:
    base = tree if isinstance(tree, x509.GeneralName) else x509.GeneralName(*tree)
    limits = {f"{side}_subtrees": [{"base": base, "minimum": 0}]}
    root = Authority(ECDSA_P256)
    more = (("name_constraints", critical, limits),)
    middle = Authority(ECDSA_P256, "Middle", above=root, more=more)
    said = () if alternative is None else (x509.GeneralName(*alternative),)
    alternatives = (("subject_alt_name", False, list(said)),) if said else ()
    key = ECDSA_P256.private_key(b"l" * 32).public
    leaf = middle.certify(key, subject=NAMED, more=alternatives)
    presented = [leaf, middle.certificate]
    verdict = Authorities([root.certificate]).check(presented, NOW, "signature")
    assert [each.reason for each in verdict.refusals] == (
        [] if believed else ["name-not-permitted"]
    )
    assert _openssl_believes(presented, root.certificate) == believed


def test_authorities_that_certify_each_other_do_not_keep_a_node_busy() -> None:
    root = Authority(ECDSA_P256)
    ring = [Authority(ECDSA_P256, f"Ring {number}") for number in range(8)]
    crossed = [
        read_certificate(Authority(ECDSA_P256, f"Ring {lower}", above=ring[upper]).der)
        for lower in range(8)
        for upper in range(8)
        if lower != upper
    ]
    leaf = ring[0].certify(ECDSA_P256.private_key(b"l" * 32).public)
    authorities = Authorities([root.certificate], crossed)
    verdict = authorities.check([leaf], NOW, "signature")
    assert [each.reason for each in verdict.refusals] == ["unknown-authority"]


# ---- what was taken back -------------------------------------------------------------------------


@EACH
def test_a_revoked_certificate_is_refused_by_list_and_by_answer(algorithm: Algorithm) -> None:
    chain = Chain(algorithm)
    assert chain.reasons(chain.middle.revocation_list([chain.leaf])) == {"revoked"}
    assert chain.reasons(chain.middle.revocation_list([])) == set()
    answer = chain.middle.status_answer(chain.leaf, revoked=NOW - DAY)
    assert chain.reasons(answer) == {"revoked"}
    assert chain.reasons(chain.middle.status_answer(chain.leaf)) == set()


def test_a_revoked_authority_vouches_for_nobody() -> None:
    chain = Chain(SM2_SM3)
    assert chain.reasons(chain.root.revocation_list([chain.middle.certificate])) == {"revoked"}


@SUITES
def test_what_was_revoked_later_was_good_before(algorithm: Algorithm) -> None:
    chain = Chain(algorithm)
    listed = chain.middle.revocation_list([chain.leaf], when=NOW - 10 * DAY)
    assert chain.reasons(listed, moment=NOW - 11 * DAY) == set()
    assert chain.reasons(listed, moment=NOW - 10 * DAY) == {"revoked"}


def test_a_key_that_was_stolen_earlier_counts_from_then() -> None:
    chain = Chain(ECDSA_P256)
    stolen = {"extn_id": "invalidity_date", "critical": False, "extn_value": NOW - 20 * DAY}
    listed = chain.middle.revocation_list([chain.leaf], entry_extensions=[stolen])
    assert chain.reasons(listed, moment=NOW - 21 * DAY) == set()
    assert chain.reasons(listed, moment=NOW - 11 * DAY) == {"revoked"}


@SUITES
def test_a_certificate_that_tells_where_it_is_revoked_needs_its_status_known(
    algorithm: Algorithm,
) -> None:
    chain = Chain(algorithm, list_url=LISTED)
    assert chain.reasons() == {"revocation-unknown"}
    assert chain.reasons(chain.middle.revocation_list()) == set()
    stale = chain.middle.revocation_list(since=NOW - 9 * DAY, until=NOW - DAY)
    assert chain.reasons(stale) == {"revocation-unknown"}
    assert chain.reasons(stale, moment=NOW - 2 * DAY) == set()
    future = chain.middle.revocation_list(since=NOW + DAY, until=NOW + 9 * DAY)
    assert chain.reasons(future) == {"revocation-unknown"}
    unknown = chain.middle.status_answer(chain.leaf, is_known=False)
    assert chain.reasons(unknown) == {"revocation-unknown"}
    authorities = Authorities([chain.root.certificate], is_status_required=False)
    assert authorities.check(chain.presented, NOW, "signature").is_accepted


def test_a_list_after_the_certificates_end_says_nothing_by_its_silence() -> None:
    chain = Chain(ECDSA_P256, list_url=LISTED)
    later = NOW + YEAR + 9 * DAY
    listed = chain.middle.revocation_list(since=later - DAY, until=later + DAY)
    assert chain.reasons(listed, now=later) == {"revocation-unknown"}


@SUITES
def test_a_list_or_answer_by_another_key_counts_for_nothing(algorithm: Algorithm) -> None:
    chain = Chain(algorithm, list_url=LISTED)
    false = algorithm.private_key(b"f" * 32)
    for source in (
        chain.middle.revocation_list(by=false),
        chain.middle.status_answer(chain.leaf, by=false),
        chain.root.revocation_list(),
    ):
        assert chain.reasons(source) == {"revocation-unknown"}


@SUITES
def test_rfc_6960_4_2_2_2_an_answer_may_be_by_whom_the_authority_charged_with_it(
    algorithm: Algorithm,
) -> None:
    chain = Chain(algorithm, list_url=LISTED)
    key = algorithm.private_key(b"o" * 32)
    charged = chain.middle.certify(key.public, "Answers", purposes=("ocsp_signing",))
    anyone = chain.middle.certify(key.public, "Anyone")
    stranger = chain.root.certify(key.public, "Stranger", purposes=("ocsp_signing",))
    usages: dict[str, Any] = {"usages": frozenset({"key_encipherment"})}
    otherwise = chain.middle.certify(key.public, purposes=("ocsp_signing",), **usages)
    more = (("1.2.3.4", True, b"\x05\x00"),)
    beyond = chain.middle.certify(key.public, purposes=("ocsp_signing",), more=more)
    for responder, reasons in (
        (charged, set[str]()),
        (anyone, {"revocation-unknown"}),
        (otherwise, {"revocation-unknown"}),
        (beyond, {"revocation-unknown"}),
        (stranger, {"revocation-unknown"}),
    ):
        answer = chain.middle.status_answer(chain.leaf, by=key, with_certificates=[responder])
        assert chain.reasons(answer) == reasons


@SUITES
def test_rfc_6960_4_2_2_2_1_who_was_charged_with_answers_may_be_revoked(
    algorithm: Algorithm,
) -> None:
    chain = Chain(algorithm, list_url=LISTED)
    key = algorithm.private_key(b"o" * 32)
    charged = chain.middle.certify(key.public, "Answers", purposes=("ocsp_signing",))
    answer = chain.middle.status_answer(chain.leaf, by=key, with_certificates=[charged])
    # The list is no word on the leaf any more, only on who answers for it.
    stale: dict[str, Any] = {"since": NOW - 9 * DAY, "until": NOW - 8 * DAY}
    assert chain.reasons(answer, chain.middle.revocation_list(**stale)) == set()
    revoked = chain.middle.revocation_list([charged], **stale)
    assert chain.reasons(answer, revoked) == {"revocation-unknown"}


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sm3"])
def test_an_answer_names_the_certificate_by_any_hash_in_use(digest: str) -> None:
    chain = Chain(SM2_SM3, list_url=LISTED)
    assert chain.reasons(chain.middle.status_answer(chain.leaf, digest=digest)) == set()
    other = chain.middle.certify(chain.key.public, "Other")
    about_other = chain.middle.status_answer(other, digest=digest)
    assert chain.reasons(about_other) == {"revocation-unknown"}


def test_rfc_5280_5_2_5_a_list_speaks_for_those_it_is_about() -> None:
    chain = Chain(ECDSA_P256, list_url=LISTED)

    def listed(**scope: Any) -> bytes:
        point = crl.IssuingDistributionPoint(scope)
        extension = {
            "extn_id": "issuing_distribution_point",
            "critical": True,
            "extn_value": point,
        }
        return chain.middle.revocation_list(extensions=[extension])

    def at(url: str) -> Any:
        place = x509.GeneralName("uniform_resource_identifier", url)
        return x509.DistributionPointName("full_name", [place])

    assert chain.reasons(listed(distribution_point=at(LISTED))) == set()
    assert chain.reasons(listed(only_contains_user_certs=True)) == set()
    elsewhere = listed(distribution_point=at("http://lists.example.org/2.crl"))
    assert chain.reasons(elsewhere) == {"revocation-unknown"}
    assert chain.reasons(listed(only_contains_ca_certs=True)) == {"revocation-unknown"}
    for part in (
        listed(indirect_crl=True),
        listed(only_some_reasons={"key_compromise"}),
        chain.middle.revocation_list(
            extensions=[{"extn_id": "delta_crl_indicator", "critical": True, "extn_value": 1}]
        ),
    ):
        with pytest.raises(StatusUnreadable):
            RevocationList(part)


# ---- reading -------------------------------------------------------------------------------------


def test_what_is_no_certificate_is_refused_whole() -> None:
    der = Chain(SM2_SM3).leaf.der
    for wrong in (b"", b"\x30\x00", der[:-1], der + b"\0", b"x" * 300, der * 200):
        with pytest.raises(CertificateUnreadable):
            read_certificate(wrong)


def test_a_folder_says_who_is_believed(tmp_path: Path) -> None:
    chains = [Chain(ECDSA_P256, list_url=LISTED), Chain(SM2_SM3, list_url=LISTED)]
    for number, chain in enumerate(chains):
        armoured = pem.armor("CERTIFICATE", chain.root.der)
        (tmp_path / f"{number}.pem").write_bytes(armoured * 2)
        (tmp_path / f"{number}.cer").write_bytes(chain.middle.der)
        (tmp_path / f"{number}.crl").write_bytes(chain.middle.revocation_list())
    (tmp_path / "README").write_text("no certificate")
    authorities = read_folder(tmp_path)
    for chain in chains:
        assert authorities.check([chain.leaf], NOW, "signature", now=NOW).is_accepted
    (tmp_path / "1.ocsp").write_bytes(
        chains[1].middle.status_answer(chains[1].leaf, revoked=NOW - DAY)
    )
    verdict = read_folder(tmp_path).check([chains[1].leaf], NOW, "signature", now=NOW)
    assert [each.reason for each in verdict.refusals] == ["revoked"]


def test_a_file_in_the_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    with pytest.raises(Unusable, match=r"broken\.pem"):
        read_folder(tmp_path)
    assert (
        read_folder(tmp_path / "none")
        .check(Chain(ECDSA_P256).presented, NOW, "signature")
        .refusals[0]
        .reason
        == "unknown-authority"
    )


def test_an_authority_needs_the_usage_to_list_what_it_took_back() -> None:
    chain = Chain(ECDSA_P256, list_url=LISTED)
    usages = AUTHORITY_USAGES - {"crl_sign"}
    chain.middle = Authority(ECDSA_P256, "Middle", above=chain.root, usages=usages)
    chain.leaf = chain.middle.certify(chain.key.public, list_url=LISTED)
    assert chain.reasons(chain.middle.revocation_list()) == {"revocation-unknown"}
