"""Pages of other origins ask from a browser (CORS as SMART App Launch 2.2 asks for it)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from clients import bearing, caller, open_server
from clinic import Clinic

from quanmin.api import build as build_door
from quanmin.trust import Actor

PAGE, OTHER = "https://app.example", "https://evil.example"
ASKING = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}
ALLOWED = "access-control-allow-origin"


async def test_smart_cors_discovery_is_for_all_and_records_for_registered_origins(
    clinic: Clinic,
) -> None:
    def door(origins: str) -> object:
        server = open_server(clinic.pool, clinic.actors, page_origins=origins)
        return build_door(
            clinic.guard,
            clinic.actors,
            link_key=b"k" * 32,
            zone=ZoneInfo("Asia/Shanghai"),
            authorization=server,
        )

    token = await clinic.actors.enrol(Actor("desk", "institution", "desk", "hospital-a"))
    mine = bearing(token)
    for origins, is_open in ((f"{PAGE} https://second.example", True), ("", False)):
        api = caller(door(origins))
        for path in ("/fhir/metadata", "/fhir/.well-known/smart-configuration"):
            answer = await api.get(path, headers={"Origin": OTHER})
            assert answer.headers.get_list(ALLOWED) == ["*"], path
        for path in ("/fhir/Patient", "/fhir", "/oauth/token", "/oauth/revoke"):
            asked = await api.options(path, headers={"Origin": PAGE, **ASKING})
            assert asked.headers.get(ALLOWED) == (PAGE if is_open else None), path
            allowed = asked.headers.get("access-control-allow-headers", "")
            assert ("authorization" in allowed) == is_open
            for wrong in (OTHER, "null", f"{PAGE}:8443", "http://app.example", f"{PAGE}.evil"):
                refused = await api.options(path, headers={"Origin": wrong, **ASKING})
                assert ALLOWED not in refused.headers
        read = await api.get("/fhir/Patient", headers={"Origin": PAGE, **mine})
        assert read.status_code == 200
        assert read.headers.get(ALLOWED) == (PAGE if is_open else None)
        assert "access-control-allow-credentials" not in read.headers
        if is_open:
            assert "etag" in read.headers["access-control-expose-headers"]
            assert "Origin" in read.headers.get("vary", "")
        refused = await api.post("/oauth/token", headers={"Origin": PAGE}, data={"a": "b"})
        assert refused.headers.get(ALLOWED) == (PAGE if is_open else None)
        unknown = await api.get("/fhir/Patient", headers={"Origin": PAGE})
        assert unknown.status_code == 401
        assert unknown.headers.get(ALLOWED) == (PAGE if is_open else None)
        inside = await api.post("/oauth/introspect", headers={"Origin": PAGE}, data={"a": "b"})
        assert ALLOWED not in inside.headers
