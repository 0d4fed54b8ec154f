"""`$sign` and `Provenance/$verify-signature`: signatures as FHIR carries them, over the door."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from asn1crypto import pem
from authority import Authority
from stamping import StampOffice, running_office
from stores import observation
from workers import at_work

from quanmin.base.jobs import JobLimits, Worker
from quanmin.base.keys import FileKeys
from quanmin.base.problems import Unusable
from quanmin.base.signing import SUITES, PrivateKey, suite_named
from quanmin.base.timestamps import Stamper, read_stamp
from quanmin.trust.signatures import (
    AUTHOR,
    STAMP,
    Office,
    OwnAuthority,
    SignatureSettings,
    own,
    stamp_kind,
)
from quanmin.trust.signatures.content import CONTENT, canonical
from quanmin.trust.signatures.detached import sign
from quanmin.trust.signatures.provenance import write

COSIGN = "1.2.840.10065.1.12.1.2"


class Hall:
    """A house whose node signs, and what it believes."""

    def __init__(self, house: Any, folder: Path, suite: str) -> None:
        self.house = house
        self.suite = suite_named(suite)
        self.folder = folder / "accepted"
        self.folder.mkdir()
        self.keys = FileKeys.create(folder / "signing keys")
        self.own = OwnAuthority(self.keys, self.suite)
        self.office = Office(self.own, SignatureSettings(folder=self.folder))

    def client(self, code: str = "hospital-a") -> httpx.AsyncClient:
        client: httpx.AsyncClient = self.house.client(code, office=self.office)
        return client

    def believe(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)


@pytest.fixture(params=["international", "gm"])
def hall(request: pytest.FixtureRequest, house: Any, tmp_path: Path) -> Hall:
    return Hall(house, tmp_path, request.param)


async def make(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/Observation", content=observation(**more))
    assert answer.status_code == 201, answer.text
    return f"Observation/{answer.json()['id']}"


async def signed(client: httpx.AsyncClient, record: str) -> str:
    answer = await client.post(f"/{record}/$sign")
    assert answer.status_code == 201, answer.text
    return f"Provenance/{answer.json()['id']}"


async def verified(client: httpx.AsyncClient, provenance: str) -> dict[str, list[Any]]:
    """The values of the answer by name; of refusals their reasons."""
    answer = await client.get(f"/{provenance}/$verify-signature")
    assert answer.status_code == 200, answer.text
    found: dict[str, list[Any]] = {}
    for each in answer.json()["parameter"]:
        source = each["part"][0] if "part" in each else each
        (value,) = (part for name, part in source.items() if name.startswith("value"))
        found.setdefault(each["name"], []).append(value)
    return found


async def test_what_is_signed_here_holds_here(hall: Hall) -> None:
    client = hall.client()
    record = await make(client)
    answer = await client.post(f"/{record}/$sign?type={COSIGN}")
    body = answer.json()
    assert answer.status_code == 201
    assert body["target"] == [{"reference": f"{record}/_history/1"}]
    document, stamp = body["signature"]
    assert document["type"][0]["code"] == COSIGN
    assert (document["sigFormat"], document["who"]) == ("application/jose", body["agent"][0]["who"])
    head = base64.b64decode(document["data"]).split(b".")[0]
    header = json.loads(base64.urlsafe_b64decode(head + b"=="))
    assert (header["alg"], len(header["x5c"])) == (hall.suite.algorithm.jws, 1)
    assert stamp["sigFormat"] == "application/vnd.etsi.timestamp-token"
    assert answer.headers["location"].endswith(f"/Provenance/{body['id']}/_history/1")
    assert (await client.get(f"/Provenance/{body['id']}")).json() == body

    found = await verified(client, f"Provenance/{body['id']}")
    assert found["holds"] == [True]
    assert "refusal" not in found
    assert found["signer"] == ["common_name=Hospital A, serial_number=hospital-a"]
    assert found["stamp-is-own"] == [True]


async def test_a_later_version_and_a_label_leave_the_signature_as_it_was(hall: Hall) -> None:
    client = hall.client()
    record = await make(client)
    provenance = await signed(client, record)
    label = {"name": "meta", "valueMeta": {"tag": [{"system": "urn:tags", "code": "a"}]}}
    asked = json.dumps({"resourceType": "Parameters", "parameter": [label]}).encode()
    assert (await client.post(f"/{record}/$meta-add", content=asked)).status_code == 200
    assert (await verified(client, provenance))["holds"] == [True]
    changed = json.loads(observation(value="9.9")) | {"id": record.split("/")[1]}
    answer = await client.put(f"/{record}", content=json.dumps(changed).encode())
    assert answer.status_code == 200, answer.text
    assert (await verified(client, provenance))["holds"] == [True]


async def test_a_signature_of_other_content_is_refused(hall: Hall) -> None:
    client = hall.client()
    first, second = await make(client), await make(client, value="9.9")
    body = (await client.get(f"/{await signed(client, first)}")).json()
    body["target"] = [{"reference": f"{second}/_history/1"}]
    moved = await client.post("/Provenance", content=json.dumps(body).encode())
    found = await verified(client, f"Provenance/{moved.json()['id']}")
    assert (found["holds"], found["refusal"]) == ([False], ["altered-document"])


async def brought(
    client: httpx.AsyncClient, hall: Hall, key: PrivateKey, certificate: bytes, **who: Any
) -> str:
    """A Provenance whose signature was made elsewhere, by a key the node does not have."""
    record = await make(client)
    document = (await client.get(f"/{record}/_history/1")).content
    moment = datetime.now(UTC)
    signature = sign(canonical(document, CONTENT), key, [certificate], moment)
    body = write(
        f"{record}/_history/1",
        AUTHOR,
        who=who,
        moment=moment,
        signature=signature,
        stamp=hall.own.stamper.stamp(hall.suite.digest, signature),
    )
    answer = await client.post("/Provenance", content=body)
    assert answer.status_code == 201, answer.text
    return f"Provenance/{answer.json()['id']}"


async def test_a_signature_from_elsewhere_holds_once_its_authority_is_accepted(hall: Hall) -> None:
    client, authority = hall.client(), Authority(hall.suite.algorithm)
    key = hall.suite.algorithm.private_key(b"d" * 32)
    now = datetime.now(UTC)
    certificate = authority.certify(
        key.public,
        subject=(("common_name", "Doctor"), ("serial_number", "4401")),
        not_after=now + timedelta(days=9),
    )
    provenance = await brought(client, hall, key, certificate.der, identifier={"value": "4401"})
    assert (await verified(client, provenance))["refusal"] == ["unknown-authority"]
    hall.believe("root.pem", pem.armor("CERTIFICATE", authority.der))
    assert (await verified(client, provenance))["holds"] == [True]
    # What the authority takes back counts from the next time on.
    listed = authority.revocation_list([certificate], until=now + timedelta(days=1))
    hall.believe("root.crl", listed)
    assert (await verified(client, provenance))["refusal"] == ["revoked"]


async def test_the_certificate_is_held_to_whom_the_directory_knows(hall: Hall) -> None:
    client, authority = hall.client(), Authority(hall.suite.algorithm)
    hall.believe("root.cer", authority.der)
    key = hall.suite.algorithm.private_key(b"d" * 32)
    certificate = authority.certify(
        key.public,
        subject=(("common_name", "Doctor"), ("serial_number", "4401")),
        not_after=datetime.now(UTC) + timedelta(days=9),
    )
    for number, reasons in (("4401", None), ("4402", ["wrong-signer"])):
        person = {
            "resourceType": "Practitioner",
            "identifier": [{"system": "urn:licences", "value": number}],
        }
        answer = await client.post("/Practitioner", content=json.dumps(person).encode())
        reference = f"Practitioner/{answer.json()['id']}"
        # What the Provenance says of the person counts for nothing beside it.
        provenance = await brought(
            client,
            hall,
            key,
            certificate.der,
            reference=reference,
            identifier={"value": "4401"},
        )
        assert (await verified(client, provenance)).get("refusal") == reasons


async def test_a_certificate_given_to_an_actors_key_is_used_from_then_on(hall: Hall) -> None:
    client, authority = hall.client(), Authority(hall.suite.algorithm)
    given = authority.certify(
        hall.own.key_of("hospital-a").public,
        subject=(("common_name", "Hospital A"), ("organization_identifier", "hospital-a")),
        not_after=datetime.now(UTC) + timedelta(days=9),
    )
    hall.believe("root.cer", authority.der)
    hall.believe("hospital-a.cer", given.der)
    found = await verified(client, await signed(client, await make(client)))
    assert (found["holds"], found["certificate"]) == ([True], [given.fingerprint])


async def test_what_was_signed_under_another_suite_holds_after_a_change(hall: Hall) -> None:
    client = hall.client()
    provenance = await signed(client, await make(client))
    (other,) = (each for each in SUITES.values() if each is not hall.suite)
    office = Office(OwnAuthority(hall.keys, other), SignatureSettings())
    found = await verified(hall.house.client("hospital-a", office=office), provenance)
    assert (found["holds"], found["algorithm"]) == ([True], [hall.suite.algorithm.jws])


async def test_a_file_that_is_just_being_copied_changes_nothing_yet(hall: Hall) -> None:
    client, authority = hall.client(), Authority(hall.suite.algorithm)
    provenance = await signed(client, await make(client))
    hall.believe("root.crl", authority.revocation_list()[:-9])
    assert (await verified(client, provenance))["holds"] == [True]
    with pytest.raises(Unusable, match=r"root\.crl"):
        Office(hall.own, SignatureSettings(folder=hall.folder))


async def test_others_records_are_neither_signed_nor_told_of(hall: Hall) -> None:
    record = await make(hall.client("hospital-a"))
    provenance = await signed(hall.client("hospital-a"), record)
    other = hall.client("hospital-b")
    for method, hidden, absent in (
        ("POST", f"/{record}/$sign", "/Observation/none/$sign"),
        ("GET", f"/{provenance}/$verify-signature", "/Provenance/none/$verify-signature"),
    ):
        answers = [await other.request(method, path) for path in (hidden, absent)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["issue"] == answers[1].json()["issue"]


async def test_signing_and_verifying_stand_in_the_access_log(
    hall: Hall, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    client = hall.client()
    provenance = await signed(client, await make(client))
    await pool.execute("delete from trust.access")
    await verified(client, provenance)
    rows = await pool.fetch("select action, type from trust.access")
    assert {(row["action"], row["type"]) for row in rows} >= {
        ("read", "Provenance"),
        ("vread", "Observation"),
    }


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"target": [{"reference": "{record}"}]}, "names no version"),
        ({"signature": []}, "one signature"),
        ({"target": [{"reference": "{record}/_history/1"}] * 2}, "one target"),
    ],
)
async def test_what_cannot_be_verified_is_told(
    hall: Hall, changed: dict[str, Any], text: str
) -> None:
    client = hall.client()
    record = await make(client)
    body = (await client.get(f"/{await signed(client, record)}")).json()
    given = json.loads(json.dumps(changed).replace("{record}", record))
    body = {name: value for name, value in (body | given).items() if value}
    written = await client.post("/Provenance", content=json.dumps(body).encode())
    assert written.status_code == 201, written.text
    answer = await client.get(f"/Provenance/{written.json()['id']}/$verify-signature")
    assert answer.status_code == 422
    assert text in answer.json()["issue"][0]["diagnostics"]


async def test_wrong_parameters_and_a_node_without_keys_are_told(hall: Hall) -> None:
    client = hall.client()
    record = await make(client)
    for query in ("type=author", "other=1", "type=1&type=2"):
        assert (await client.post(f"/{record}/$sign?{query}")).status_code == 400
    assert (await client.get(f"/{record}/$sign")).status_code == 405
    without = hall.house.client("hospital-a")
    assert (await without.post(f"/{record}/$sign")).status_code == 400


# ---- stamps by another (RFC 3161) ----------------------------------------------------------------

POLICY = "1.2.156.1.7"


class Stamping:
    """A hall whose node is stamped by an authority of its own kind, which it believes."""

    def __init__(self, hall: Hall, office: StampOffice, authority: Authority) -> None:
        self.hall = hall
        self.office = office
        self.authority = authority
        hall.believe("stamps.cer", authority.der)

    def signing(self, **more: Any) -> Office:
        settings = {"stamper_url": self.office.address, "stamper_policy": POLICY, **more}
        return Office(self.hall.own, SignatureSettings(folder=self.hall.folder, **settings))

    def client(self, **more: Any) -> httpx.AsyncClient:
        office = self.signing(**more)
        client: httpx.AsyncClient = self.hall.house.client("hospital-a", office=office)
        return client

    def worker(self, house: Any) -> Worker:
        """Brings stamps later, and waits for next to nothing between two attempts."""
        office = self.signing(stamper_retry_seconds=0.2)
        kind = stamp_kind(house.guard, house.actors, office)
        return Worker(house.pool, [kind], JobLimits(poll_seconds=0.05))


async def soon(holds: Callable[[], Any]) -> None:
    for _ in range(1000):
        told = holds()
        if await told if inspect.isawaitable(told) else told:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that in time")


async def count(house: Any, state: str, message: str) -> int:
    """How many jobs that bring a stamp are in this state, having said this."""
    asked = "select count(*) from jobs.job where kind = $1 and state = $2 and message = $3"
    return int(await house.pool.fetchval(asked, STAMP, state, message))


@pytest.fixture
def stamping(hall: Hall) -> Iterator[Stamping]:
    authority = Authority(hall.suite.algorithm, "Stamps")
    key = hall.suite.algorithm.private_key(b"s" * 32)
    given = authority.certify(
        key.public,
        "A stamp",
        purposes=("time_stamping",),
        not_before=datetime.now(UTC) - timedelta(days=1),
        not_after=datetime.now(UTC) + timedelta(days=9),
    )
    with running_office(Stamper(key, (given.der,), POLICY)) as office:
        yield Stamping(hall, office, authority)


async def test_rfc_3161_what_is_signed_is_stamped_by_the_authority_of_the_settings(
    stamping: Stamping,
) -> None:
    client = stamping.client()
    provenance = await signed(client, await make(client))
    assert len(stamping.office.asked) == 1
    found = await verified(client, provenance)
    assert (found["holds"], found["stamp-is-own"]) == ([True], [False])
    body = (await client.get(f"/{provenance}")).json()
    token = read_stamp(base64.b64decode(body["signature"][1]["data"]))
    assert (token.policy, token.is_own) == (POLICY, False)
    # Whoever does not accept that authority does not believe it.
    (stamping.hall.folder / "stamps.cer").unlink()
    assert (await verified(client, provenance))["holds"] == [False]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 500}, "it answers 500"),
        ({"kind": "text/html"}, "it answers 200, text/html"),
        ({"replayed": b"no stamp"}, "gave no stamp"),
    ],
)
async def test_nothing_is_signed_while_the_authority_gives_no_stamp(
    stamping: Stamping, fault: dict[str, Any], said: str
) -> None:
    client = stamping.client()
    record = await make(client)
    for name, value in fault.items():
        setattr(stamping.office, name, value)
    answer = await client.post(f"/{record}/$sign")
    assert answer.status_code == 503
    assert said in answer.json()["issue"][0]["diagnostics"]
    assert answer.headers["Retry-After"] == "60"
    found = await client.get("/Provenance", params={"_summary": "count"})
    assert found.json()["total"] == 0
    # Where the settings let it, the node stamps itself, and says so.
    client = stamping.client(stamper_down="own")
    found_own = await verified(client, await signed(client, record))
    assert (found_own["holds"], found_own["stamp-is-own"]) == ([True], [True])


async def test_a_stamp_that_was_not_to_be_had_is_brought_later(
    stamping: Stamping, house: Any
) -> None:
    """Under a certificate that lasts it takes the place of the node's own; else what was signed is
    signed anew.
    """
    client = stamping.client(stamper_down="own")
    record = await make(client)
    stamping.office.status = 500
    provenance = await signed(client, record)
    before = (await client.get(f"/{provenance}")).json()
    assert (await verified(client, provenance))["stamp-is-own"] == [True]

    async with at_work(stamping.worker(house)):
        # Once to sign, and again and again.
        await soon(lambda: len(stamping.office.asked) >= 3)
        assert (await verified(client, provenance))["stamp-is-own"] == [True]
        stamping.office.status = 200
        await soon(lambda: count(house, "done", "stamped"))
    assert (await verified(client, provenance))["holds"] == [True]
    after = (await client.get(f"/{provenance}")).json()
    assert after["meta"]["versionId"] == "2"
    assert after["signature"][0] == before["signature"][0]
    assert after["target"] == before["target"]
    assert (await verified(client, provenance))["stamp-is-own"] == [False]
    assert await count(house, "waiting", "") == 0


async def test_what_was_signed_under_a_certificate_that_has_ended_is_signed_anew(
    stamping: Stamping, house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stamping.client(stamper_down="own")
    stamping.office.status = 500
    monkeypatch.setattr(own, "_AFTER", timedelta(seconds=-own._SLOT_SECONDS - 1))
    monkeypatch.setattr(own, "_BEFORE", timedelta(days=1))
    provenance = await signed(client, await make(client))
    before = (await client.get(f"/{provenance}")).json()
    monkeypatch.undo()
    stamping.hall.own._certified.cache_clear()
    stamping.office.status = 200
    async with at_work(stamping.worker(house)):
        await soon(lambda: count(house, "done", "signed anew and stamped"))
    assert (await verified(client, provenance))["stamp-is-own"] == [False]
    after = (await client.get(f"/{provenance}")).json()
    assert after["signature"][0]["data"] != before["signature"][0]["data"]
    assert after["target"] == before["target"]
    first = await client.get(f"/{provenance}/_history/1")
    assert first.json()["signature"] == before["signature"]


async def test_a_stamp_that_nobody_here_would_believe_is_not_taken(stamping: Stamping) -> None:
    client = stamping.client()
    record = await make(client)

    async def refused(said: str, **more: Any) -> None:
        answer = await stamping.client(**more).post(f"/{record}/$sign")
        assert answer.status_code == 503, answer.text
        assert said in answer.json()["issue"][0]["diagnostics"]

    await refused("another policy", stamper_policy="1.2.3")
    await refused("does not answer", stamper_url="http://127.0.0.1:1/stamp")
    # The answer to another request, kept and sent again.
    stamping.office.replayed = stamping.office.stamper.answer(stamping.office.asked[0])
    await refused("gave no stamp")
    stamping.office.replayed = None
    (stamping.hall.folder / "stamps.cer").unlink()
    await refused("`signatures.folder`")
    stamping.office.stamper = stamping.hall.own.stamper
    await refused("another node's own", stamper_policy="")
