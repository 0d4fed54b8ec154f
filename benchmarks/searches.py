"""The main shapes of searches over HTTP, each with many different values."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import generator
import httpx
from figures import Figure, percentile
from node_under_test import Bench

CONNECTIONS = 4
_REQUESTS = 400
_SAMPLE = 1000

Pairs = list[tuple[str, str]]


class Facts:
    """What can be asked for, read from the node itself, so that every data set will do."""

    def __init__(self, bench: Bench, token: str) -> None:
        self.dice = random.Random(bench.seed)
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{bench.node.port}/fhir/",
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )
        self.patients = self._sample("Patient", [])
        self.observations = self._sample("Observation", [])
        codes = Counter(_coding(one["code"]) for one in self.observations)
        ordered = [code for code, _ in codes.most_common()]
        self.common, self.rare = ordered[:5], ordered[-10:]
        self.quantities = [one for one in self.observations if "valueQuantity" in one]

    def _sample(self, type_: str, pairs: Pairs) -> list[Any]:
        """Some records of a type, whichever the node puts first."""
        asked = [*pairs, ("_count", str(_SAMPLE))]
        answer = self._client.get(f"{type_}?{urlencode(asked)}").raise_for_status().json()
        return [entry["resource"] for entry in answer["entry"]]

    def patient(self) -> str:
        """Somebody's id."""
        return str(self.dice.choice(self.patients)["id"])

    def observation(self) -> Any:
        """One of the sampled observations."""
        return self.dice.choice(self.observations)


def _coding(concept: Any) -> str:
    coding = concept["coding"][0]
    return f"{coding.get('system', '')}|{coding['code']}"


def _code_common(facts: Facts) -> tuple[str, Pairs]:
    code = facts.dice.choice(facts.common)
    return "Observation", [("code", code), ("_sort", "-date"), ("_count", "50")]


def _code_rare(facts: Facts) -> tuple[str, Pairs]:
    code = facts.dice.choice(facts.rare)
    return "Observation", [("code", code), ("_sort", "-date"), ("_count", "50")]


def _patient(facts: Facts) -> tuple[str, Pairs]:
    return "Observation", [("patient", facts.patient()), ("_sort", "-date"), ("_count", "50")]


def _patient_code(facts: Facts) -> tuple[str, Pairs]:
    one = facts.observation()
    patient = one["subject"]["reference"]
    return "Observation", [("patient", patient), ("code", _coding(one["code"])), ("_count", "50")]


def _category(facts: Facts) -> tuple[str, Pairs]:
    with_category = [one for one in facts.observations if one.get("category")]
    one = facts.dice.choice(with_category)
    pairs = [("category", _coding(one["category"][0])), ("_sort", "-date"), ("_count", "50")]
    return "Observation", pairs


def _dates(facts: Facts) -> tuple[str, Pairs]:
    day = facts.observation()["effectiveDateTime"][:10]
    return "Observation", [("date", f"ge{day}"), ("date", f"le{day}"), ("_count", "50")]


def _name(facts: Facts) -> tuple[str, Pairs]:
    name = facts.dice.choice(facts.patients)["name"][0]
    return "Patient", [("name", name.get("text") or name["family"]), ("_count", "20")]


def _pinyin(facts: Facts) -> tuple[str, Pairs]:
    from pypinyin import lazy_pinyin  # noqa: PLC0415 - slow to load, needed by one shape

    name = facts.dice.choice(facts.patients)["name"][0]
    spoken = "".join(lazy_pinyin(name.get("text") or name["family"]))
    return "Patient", [("name", spoken), ("_count", "20")]


def _identifier(facts: Facts) -> tuple[str, Pairs]:
    one = facts.dice.choice(facts.dice.choice(facts.patients)["identifier"])
    return "Patient", [("identifier", f"{one['system']}|{one['value']}")]


def _quantity(facts: Facts) -> tuple[str, Pairs]:
    one = facts.dice.choice(facts.quantities)
    value, unit = one["valueQuantity"]["value"], one["valueQuantity"].get("code", "")
    asked = f"gt{value}|http://unitsofmeasure.org|{unit}" if unit else f"gt{value}"
    pairs = [("code", _coding(one["code"])), ("value-quantity", asked), ("_count", "50")]
    return "Observation", pairs


def _updated(facts: Facts) -> tuple[str, Pairs]:
    moment = facts.observation()["meta"]["lastUpdated"]
    return "Observation", [("_lastUpdated", f"le{moment}"), ("_count", "50")]


def _include(facts: Facts) -> tuple[str, Pairs]:
    pairs = [("patient", facts.patient()), ("_include", "Observation:encounter"), ("_count", "50")]
    return "Observation", pairs


def _revinclude(facts: Facts) -> tuple[str, Pairs]:
    pairs = [("patient", facts.patient()), ("_revinclude", "Condition:encounter"), ("_count", "20")]
    return "Encounter", pairs


SHAPES: dict[str, Callable[[Facts], tuple[str, Pairs]]] = {
    "code_common_newest": _code_common,
    "code_rare_newest": _code_rare,
    "patient_newest": _patient,
    "patient_and_code": _patient_code,
    "category_newest": _category,
    "date_range": _dates,
    "name_chinese": _name,
    "name_pinyin": _pinyin,
    "identifier": _identifier,
    "code_and_quantity": _quantity,
    "last_updated": _updated,
    "include": _include,
    "revinclude": _revinclude,
}


def measure(bench: Bench) -> list[Figure]:
    """Each shape by itself, as an operator; then one person's record, as an institution."""
    port, token = bench.node.port, bench.node.token("operator")
    bench.say("looking for what to ask")
    facts = Facts(bench, token)
    figures = []
    for name, shape in SHAPES.items():
        bench.say(f"search {name}")
        requests = tuple(_request(port, token, *shape(facts)) for _ in range(_REQUESTS))
        figures += _measured(port, requests, f"searches.p50.{name}", f"searches.p99.{name}")
    hospital = bench.node.token("demo-hospital-1")
    bench.say("one person's record, as an institution")
    own = Facts(bench, hospital) if _has_own(bench, hospital) else None
    if own is not None:
        requests = tuple(_request(port, hospital, *_patient(own)) for _ in range(_REQUESTS))
        figures += _measured(port, requests, "person_record.p50", "person_record.p99")
    return figures


def _measured(port: int, requests: tuple[bytes, ...], p50: str, p99: str) -> list[Figure]:
    generator.fire(generator.Plan(port, requests[:20], CONNECTIONS)).require(200)
    report = generator.fire(generator.Plan(port, requests, CONNECTIONS))
    report.require(200)
    return [
        Figure(p50, round(percentile(report.latencies, 0.5), 1), "ms"),
        Figure(p99, round(percentile(report.latencies, 0.99), 1), "ms"),
    ]


def _has_own(bench: Bench, token: str) -> bool:
    answer = httpx.get(
        f"http://127.0.0.1:{bench.node.port}/fhir/Observation?_count=1",
        headers={"authorization": f"Bearer {token}"},
        timeout=60,
    )
    return bool(answer.raise_for_status().json().get("entry"))


def _request(port: int, token: str, type_: str, pairs: Pairs) -> bytes:
    return generator.get(port, f"/fhir/{type_}?{urlencode(pairs, quote_via=quote)}", token)
