"""The province's definitions as typed values: who lives there, what they have, what it costs.

The files under `definitions/demo/` say where each table comes from. Loaded once; a wrong file
stops the program with the path of the wrong value.
"""

from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What every definition says of itself."""

    source: str
    owner: str
    version: str
    effective: date


class Prefecture(msgspec.Struct, frozen=True):
    """A prefecture and its counties as (code, name)."""

    code: str
    name: str
    weight: float
    counties: tuple[tuple[str, str], ...]


class Places(Source, frozen=True, kw_only=True):
    """The divisions of the province."""

    code: str
    name: str
    focus_county: str
    focus_share: float
    prefectures: tuple[Prefecture, ...]


class Townships(Source, frozen=True, kw_only=True):
    """What names below the county are made of."""

    first: str
    second: str
    third: str
    centre_kinds: tuple[str, ...]
    per_county: tuple[int, int]
    villages_per_township: tuple[int, int]
    village_kind: str
    neighbourhood_kind: str
    village_first: str
    village_second: str
    village_third: str
    road_first: str
    road_kinds: tuple[str, ...]


class Surnames(Source, frozen=True, kw_only=True):
    """Surnames with their share in per cent, and further ones that share `uncommon_share`."""

    common: tuple[tuple[str, float], ...]
    uncommon_share: float
    uncommon: tuple[str, ...]


class Era(msgspec.Struct, frozen=True):
    """Given names usual for those born from `from_year` until the next era."""

    from_year: int
    male_names: tuple[str, ...]
    female_names: tuple[str, ...]
    male: str
    female: str


class GivenNames(Source, frozen=True, kw_only=True):
    """Given names by era, and how they are made."""

    one_character: float
    whole_name: float
    rare_share: float
    rare: str
    eras: tuple[Era, ...]


class People(msgspec.Struct, frozen=True):
    """A people (GB/T 3304) and how its names are put together."""

    code: str
    name: str
    everywhere: float
    homes: frozenset[str]
    at_home: float
    order: str
    dot: str
    family: tuple[str, ...]
    male: tuple[str, ...]
    female: tuple[str, ...]


class Minorities(Source, frozen=True, kw_only=True):
    """The peoples of the province."""

    majority: dict[str, str]
    peoples: tuple[People, ...]


class Systems(msgspec.Struct, frozen=True):
    """URIs of the identifier and code systems that the province uses."""

    identity_number: str
    credit_code: str
    staff_number: str
    patient_number: str
    place_number: str
    claim_number: str
    marker: str
    tag: str
    institution_kind: str
    charge_category: str
    service: str
    medicine: str
    vaccine: str
    survey: str
    ethnic_group: str
    division: str


class Numbering(Source, frozen=True, kw_only=True):
    """Prefixes that are assigned to nobody, and the identifier systems."""

    division_prefix: str
    phone_prefix: str
    phone_prefixes_assigned: frozenset[str]
    systems: Systems


class Registered(msgspec.Struct, frozen=True):
    """What a node's registers say of institutions of a kind: their kind, level and grade, and as
    what their staff are licensed, in departments that `scopes` does not name as `scope`; those of
    the departments `vaccinators` vaccinate as well.
    """

    kind: str
    level: str
    licence: str
    scope: str
    grade: str = ""
    scopes: dict[str, str] = msgspec.field(default_factory=dict)
    vaccinators: tuple[str, ...] = ()


class InstitutionKind(msgspec.Struct, frozen=True):
    """A kind of institution: its level, staff and the fee for a visit in fen."""

    code: str
    display: str
    name: str
    town_name: str
    level: str
    registration_fen: int
    departments: tuple[str, ...]
    doctors_per_department: int
    inpatients: bool
    registered: Registered


class Departments(msgspec.Struct, frozen=True):
    """Departments that the histories name themselves."""

    children: str
    children_age_max: int
    delivery: str
    public_health: str
    infections: tuple[str, ...]


class OwnSender(msgspec.Struct, frozen=True):
    """An institution that sends under its own name."""

    code: str
    kind: str
    division: str


class Institutions(Source, frozen=True, kw_only=True):
    """The kinds of institution, and those that send for themselves."""

    kinds: tuple[InstitutionKind, ...]
    departments: Departments
    own_senders: tuple[OwnSender, ...]


class Medicine(msgspec.Struct, frozen=True, array_like=True):
    """A medicine; the price is for one package."""

    key: str
    name: str
    strength: str
    atc: str
    price_fen: int
    packages: int
    unit: str
    directions: str


class Medicines(Source, frozen=True, kw_only=True):
    """All medicines of the demo."""

    medicines: tuple[Medicine, ...]


class Measurement(msgspec.Struct, frozen=True, array_like=True):
    """Something measured, with its unit (UCUM), reported digits and usual range."""

    key: str
    code: str
    name: str
    unit: str
    decimals: int
    mean: float
    deviation: float
    low: float
    high: float


class Panel(msgspec.Struct, frozen=True):
    """Measurements that are ordered and reported together."""

    key: str
    code: str
    name: str
    price_fen: int
    members: tuple[str, ...]


class BloodType(msgspec.Struct, frozen=True, array_like=True):
    """A part of a blood type, and its answers: code, name, how common."""

    code: str
    name: str
    answers: tuple[tuple[str, str, float], ...]


class Laboratory(Source, frozen=True, kw_only=True):
    """All measurements and panels."""

    blood: tuple[BloodType, ...]

    measurements: tuple[Measurement, ...]
    panels: tuple[Panel, ...]


class Vaccine(msgspec.Struct, frozen=True, array_like=True):
    """A vaccine of the programme and the ages in months of its doses."""

    code: str
    name: str
    months: tuple[int, ...]
    girls_only: bool


class Vaccines(Source, frozen=True, kw_only=True):
    """The immunisation programme."""

    vaccines: tuple[Vaccine, ...]
    days_late_max: int
    missed_share: float


class DiagnosisRow(msgspec.Struct, frozen=True, array_like=True):
    """A diagnosis: how often it is made, at which ages and of which sex ("" for both), and its
    own medicines where those of its group do not fit.
    """

    code: str
    name: str
    weight: float
    youngest: int
    oldest: int
    sex: str
    medicines: tuple[str, ...] | None = None


class DiagnosisGroup(msgspec.Struct, frozen=True):
    """Diagnoses treated in the same departments and examined alike."""

    key: str
    departments: tuple[str, ...]
    medicines: tuple[str, ...]
    panels: tuple[str, ...]
    stay_days: int
    rows: tuple[DiagnosisRow, ...]


class Diagnoses(Source, frozen=True, kw_only=True):
    """What people come with."""

    system: str
    groups: tuple[DiagnosisGroup, ...]
    named: dict[str, tuple[str, str]]


class Infection(msgspec.Struct, frozen=True):
    """An infectious disease of the background: how often at which age, and in which months."""

    key: str
    code: str
    name: str
    yearly_per_thousand: tuple[float, ...]
    months: tuple[float, ...]
    notifiable: bool
    medicines: tuple[str, ...]
    panels: tuple[str, ...]


class PlantedOutbreak(msgspec.Struct, frozen=True):
    """The outbreak that is put into the focus county; `weeks` are weights of its weeks."""

    code: str
    name: str
    first_day: date
    attack_rate: float
    weeks: tuple[float, ...]
    medicines: tuple[str, ...]
    panels: tuple[str, ...]


class Infections(Source, frozen=True, kw_only=True):
    """The infectious background and the planted outbreak."""

    bands: tuple[int, ...]
    infections: tuple[Infection, ...]
    outbreak: PlantedOutbreak


class PersonRates(msgspec.Struct, frozen=True):
    """Shares of people with this or that."""

    twins_of_two: float
    identity_missing: float
    moved_in: float
    own_phone: float
    allergy: float


class VisitRates(msgspec.Struct, frozen=True):
    """Visits in a year by (upper age, outpatient visits, admissions), and where they are made."""

    by_age: tuple[tuple[int, float, float], ...]
    places: tuple[float, ...]
    capital_share: float
    dispensed: float
    examined: float
    temperature_taken: float
    infection_at_centre: float
    admitted_in_county: float
    admitted_at_home: float
    caesarean: float


class ChronicRates(msgspec.Struct, frozen=True, kw_only=True):
    """How common a chronic disease is, and how well it is looked after."""

    age_from: int
    prevalence: tuple[tuple[int, float], ...]
    managed: float
    controlled: float
    visit_kept: float


class PressureRates(ChronicRates, frozen=True, kw_only=True):
    """Hypertension; a follow-up is satisfactory below both pressures, in mmHg."""

    satisfied_below: tuple[int, int]
    seen_again_soon: float


class SugarRates(ChronicRates, frozen=True, kw_only=True):
    """Diabetes; a follow-up is satisfactory below this fasting glucose, in mmol/L."""

    satisfied_below: float


class ElderRates(msgspec.Struct, frozen=True):
    """Who is invited to the yearly examination and how many come."""

    check_up_from: int
    check_up_kept: float


class DeathRates(msgspec.Struct, frozen=True):
    """Yearly probability of death by (upper age, probability)."""

    by_age: tuple[tuple[int, float], ...]


class RegistrationRates(msgspec.Struct, frozen=True):
    """How often and how a registration differs from the truth."""

    share: float
    kinds: dict[str, float]
    homophones: tuple[str, ...]


class Population(Source, frozen=True, kw_only=True):
    """How many, how old, how ill."""

    last_day: date
    years: int
    households: dict[str, float]
    people: PersonRates
    visits: VisitRates
    hypertension: PressureRates
    diabetes: SugarRates
    elders: ElderRates
    deaths: DeathRates
    registrations: RegistrationRates


def load(name: str, form: type[T]) -> T:
    """The definition `name` of the demo in its typed form."""
    text = (files("quanmin.definitions") / "demo" / f"{name}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), form, strict=True)


PLACES = load("places", Places)
TOWNSHIPS = load("townships", Townships)
SURNAMES = load("surnames", Surnames)
GIVEN_NAMES = load("given_names", GivenNames)
MINORITIES = load("minorities", Minorities)
NUMBERING = load("numbering", Numbering)
INSTITUTIONS = load("institutions", Institutions)
MEDICINES = {medicine.key: medicine for medicine in load("medicines", Medicines).medicines}
LABORATORY = load("laboratory", Laboratory)
VACCINES = load("vaccines", Vaccines)
DIAGNOSES = load("diagnoses", Diagnoses)
INFECTIONS = load("infections", Infections)
POPULATION = load("population", Population)
SYSTEMS = NUMBERING.systems
MEASUREMENTS = {measured.key: measured for measured in LABORATORY.measurements}
PANELS = {panel.key: panel for panel in LABORATORY.panels}
