"""Entries of the registers as lines of CSV, read into FHIR records and written from rows.

Every fault is told with its line and column; a file with a fault is not taken in part.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import uuid4

import msgspec

from quanmin.base import csv_line
from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.trust.registers.credit_code import code_rule, judge_credit_code
from quanmin.trust.registers.definitions import duties_known, institution_rule
from quanmin.trust.registers.licensing import licence_rule

INSTITUTION_COLUMNS: Final = (
    *("credit_code", "name", "kind", "level", "grade", "region", "sender", "parent"),
    *("state", "from", "until"),
)
PRACTITIONER_COLUMNS: Final = (
    *("staff_number", "name", "licence", "scopes", "state", "from", "until", "institution"),
)
POST_COLUMNS: Final = ("actor", "institution", "duties", "staff", "from", "until")
_CREDIT: Final = code_rule().own
_FAULTS_MAX: Final = 100
# A moment of any zone can be worked out of these, and of the days beside them.
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)


class Parcel(msgspec.Struct, frozen=True):
    """What lines of a file that belong together enter: a Bundle, and the first of the lines."""

    line: int
    bundle: dict[str, Any]


class Sheet:
    """The lines of a CSV file, each a mapping of column to text, with the faults found so far."""

    def __init__(self, text: str, columns: Sequence[str], needed: Iterable[str]) -> None:
        """Raises Invalid for a file without these columns or with others."""
        reader = csv.DictReader(io.StringIO(text.removeprefix(csv_line.MARK), newline=""))
        found = [name.strip() for name in reader.fieldnames or ()]
        if set(found) - set(columns) or set(needed) - set(found):
            known = ", ".join(columns)
            raise Invalid(
                Sentence(
                    "the first line names columns of %(known)s; needed: %(known_2)s",
                    known=known,
                    known_2=", ".join(needed),
                )
            )
        reader.fieldnames = found
        self.faults: list[Issue] = []
        self.lines: list[tuple[int, dict[str, str]]] = []
        for row in reader:
            if None in row:
                self.tell(reader.line_num, "", "has more fields than the first line")
                continue
            values = {name: (row[name] or "").strip() for name in columns if name in row}
            if any("\x00" in value for value in values.values()):
                self.tell(reader.line_num, "", "holds the character U+0000, which is no text")
                continue
            self.lines.append((reader.line_num, dict.fromkeys(columns, "") | values))
        for line, values in self.lines:
            for name in needed:
                if not values[name]:
                    self.tell(line, name, "is empty")

    def tell(self, line: int, column: str, text: str) -> None:
        """Note a fault. What the file says is not repeated: it may name a person."""
        place = f"line {line}" + (f", {column}" if column else "")
        self.faults.append(
            Issue("error", "value", Sentence("%(place)s %(text)s", place=place, text=text))
        )

    def one_of(self, line: int, column: str, value: str, known: Iterable[str]) -> None:
        """Note a fault when there is a value and it is none of the known ones."""
        names = list(known)
        if value and value not in names:
            self.tell(line, column, f"is one of {', '.join(names)}")

    def period(self, line: int, values: Mapping[str, str]) -> dict[str, str]:
        """The Period from `from` to `until`, both days as 2026-01-31."""
        days = {}
        for column, name in (("from", "start"), ("until", "end")):
            if values[column]:
                try:
                    day = date.fromisoformat(values[column])
                except ValueError:
                    self.tell(line, column, "is a day such as 2026-01-31")
                    continue
                if not _FIRST_DAY <= day <= _LAST_DAY:
                    self.tell(line, column, f"is a day from {_FIRST_DAY} to {_LAST_DAY}")
                    continue
                days[name] = day.isoformat()
        return days

    def refuse_faulty(self) -> None:
        """Raises Invalid with every fault that was noted, the first hundred by themselves."""
        if self.faults:
            raise Invalid(
                Sentence(
                    "%(count)s faults in the file; nothing was taken in", count=len(self.faults)
                ),
                issues=tuple(self.faults[:_FAULTS_MAX]),
            )


def institutions(text: str) -> list[Parcel]:
    """A transaction for each institution of a file, in the order of the file: one line a state, the
    lines of one code together. Raises Invalid.
    """
    first: dict[str, int] = {}
    sheet = Sheet(text, INSTITUTION_COLUMNS, ("credit_code", "name"))
    rule = institution_rule()
    entries: dict[str, dict[str, Any]] = {}
    for line, values in sheet.lines:
        code = values["credit_code"].upper()
        if code and not judge_credit_code(code).allowed:
            sheet.tell(line, "credit_code", "is no unified social credit code (GB 32100)")
        for column, words in (
            *(("kind", rule.kind), ("level", rule.level)),
            *(("grade", rule.grade), ("state", rule.state)),
        ):
            sheet.one_of(line, column, values[column], (word.code for word in words))
        period = sheet.period(line, values)
        if period and not (values["state"] and "start" in period):
            sheet.tell(line, "from", "and state stand where a state has days")
        first.setdefault(code, line)
        body = entries.setdefault(code, _organization(code, values))
        if "start" in period:
            body.setdefault("extension", []).append(_state(values["state"], period))
    sheet.refuse_faulty()
    return [
        Parcel(first[code], _transaction([(body, f"Organization?identifier={_CREDIT}|{code}")]))
        for code, body in entries.items()
    ]


def practitioners(text: str) -> list[Parcel]:
    """A transaction for each practitioner of a file: one line a licence, the lines of one staff
    number together. Raises Invalid.
    """
    sheet = Sheet(text, PRACTITIONER_COLUMNS, ("staff_number", "name"))
    rule = licence_rule()
    states = sorted(rule.states.in_force | rule.states.others)
    people: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {}
    first: dict[str, int] = {}
    for line, values in sheet.lines:
        number, code = values["staff_number"], values["institution"].upper()
        sheet.one_of(line, "licence", values["licence"], (kind.code for kind in rule.kind))
        sheet.one_of(line, "state", values["state"], states)
        scopes = [scope for scope in values["scopes"].split(";") if scope]
        for scope in scopes:
            sheet.one_of(line, "scopes", scope, (word.code for word in rule.scope))
        period = sheet.period(line, values)
        if values["licence"] and "start" not in period:
            sheet.tell(line, "from", "is empty: a licence has a first day")
        if code and not judge_credit_code(code).allowed:
            sheet.tell(line, "institution", "is no unified social credit code (GB 32100)")
        first.setdefault(number, line)
        body, places = people.setdefault(number, (_practitioner(number, values["name"]), {}))
        if values["licence"]:
            qualifications = body.setdefault("qualification", [])
            qualifications.append(_licence(values, scopes, period))
        if code:
            places[code] = _practice(number, code)
    sheet.refuse_faulty()
    staff = rule.address.staff
    return [
        Parcel(
            first[number],
            _transaction(
                [
                    (body, f"Practitioner?identifier={staff}|{number}"),
                    *(
                        (place, f"PractitionerRole?identifier={staff}|{number}@{code}")
                        for code, place in places.items()
                    ),
                ]
            ),
        )
        for number, (body, places) in people.items()
    ]


class PostLine(msgspec.Struct, frozen=True):
    """A post as a line of a file has it; days are ISO 8601, empty for none."""

    line: int
    actor: str
    institution: str
    duties: tuple[str, ...]
    staff: str
    first: str
    last: str


def posts(text: str) -> list[PostLine]:
    """The posts of a file, a line each. Raises Invalid."""
    sheet = Sheet(text, POST_COLUMNS, ("actor", "institution", "from"))
    found = []
    for line, values in sheet.lines:
        code = values["institution"].upper()
        if code and not judge_credit_code(code).allowed:
            sheet.tell(line, "institution", "is no unified social credit code (GB 32100)")
        named = tuple(duty for duty in values["duties"].split(";") if duty)
        for duty in named:
            sheet.one_of(line, "duties", duty, sorted(duties_known()))
        days = sheet.period(line, values)
        if days.get("end", "9999") < days.get("start", ""):
            sheet.tell(line, "until", "is not before the first day")
        first, last = days.get("start", ""), days.get("end", "")
        found.append(PostLine(line, values["actor"], code, named, values["staff"], first, last))
    sheet.refuse_faulty()
    return found


def joined(parcels: Sequence[Parcel]) -> dict[str, Any]:
    """All of a file as one transaction. What names an institution of the same file by its code
    names the entry from now on, in the parcels too, so that their order is free.
    """
    entries = [entry for parcel in parcels for entry in parcel.bundle["entry"]]
    places = {entry["request"]["url"]: entry["fullUrl"] for entry in entries}
    for entry in entries:
        for name in ("partOf", "organization"):
            reference = entry["resource"].get(name)
            if reference and reference["reference"] in places:
                reference["reference"] = places[reference["reference"]]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, with a byte order mark, so that spreadsheets read Chinese; nothing in it is a
    formula to them.
    """
    told = [["" if value is None else str(value) for value in row] for row in rows]
    return csv_line.MARK + csv_line.line(columns) + "".join(map(csv_line.line, told))


def _organization(code: str, values: Mapping[str, str]) -> dict[str, Any]:
    address = institution_rule().address
    identifiers = [{"system": _CREDIT, "value": code}]
    if values["sender"]:
        identifiers.append({"system": address.sender, "value": values["sender"]})
    body: dict[str, Any] = {
        "resourceType": "Organization",
        "identifier": identifiers,
        "active": True,
        "name": values["name"],
    }
    systems = {"kind": address.kind, "level": address.level, "grade": address.grade}
    types = [
        {"coding": [{"system": system, "code": values[name]}]}
        for name, system in systems.items()
        if values[name]
    ]
    if types:
        body["type"] = types
    if values["region"]:
        extension = [{"url": address.division, "valueCode": values["region"]}]
        body["address"] = [{"extension": extension, "use": "work"}]
    if values["parent"]:
        parent = values["parent"].upper()
        body["partOf"] = {"reference": f"Organization?identifier={_CREDIT}|{parent}"}
    return body


def _state(state: str, period: dict[str, str]) -> dict[str, Any]:
    parts = [{"url": "state", "valueCode": state}, {"url": "period", "valuePeriod": period}]
    return {"url": institution_rule().address.status, "extension": parts}


def _practitioner(number: str, name: str) -> dict[str, Any]:
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": licence_rule().address.staff, "value": number}],
        "active": True,
        "name": [{"text": name}],
    }


def _licence(
    values: Mapping[str, str], scopes: Sequence[str], period: dict[str, str]
) -> dict[str, Any]:
    address = licence_rule().address
    extensions = [{"url": address.scope, "valueCode": scope} for scope in scopes]
    if values["state"]:
        extensions.append({"url": address.state, "valueCode": values["state"]})
    return {
        **({"extension": extensions} if extensions else {}),
        "code": {"coding": [{"system": address.kind, "code": values["licence"]}]},
        "period": period,
    }


def _practice(number: str, code: str) -> dict[str, Any]:
    staff = licence_rule().address.staff
    return {
        "resourceType": "PractitionerRole",
        "identifier": [{"system": staff, "value": f"{number}@{code}"}],
        "active": True,
        "organization": {"reference": f"Organization?identifier={_CREDIT}|{code}"},
    }


def _transaction(puts: Sequence[tuple[dict[str, Any], str]]) -> dict[str, Any]:
    """A Bundle that puts each record where its criteria find it, or anew; the records after the
    first are of the practitioner that it is.
    """
    first = f"urn:uuid:{uuid4()}"
    urls = [first, *(f"urn:uuid:{uuid4()}" for _ in puts[1:])]
    for body, _ in puts[1:]:
        body["practitioner"] = {"reference": first}
    entries = [
        {"fullUrl": full_url, "resource": body, "request": {"method": "PUT", "url": url}}
        for full_url, (body, url) in zip(urls, puts, strict=True)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
