"""The compact table: what the rest of the program relies on in it."""

from __future__ import annotations

from quanmin.fhir.expressions import read
from quanmin.fhir.table import load_table

R4 = load_table()


def test_all_146_concrete_types_of_the_release_are_there_and_nothing_from_later_ones() -> None:
    assert len(R4.types) == 146
    assert "SubscriptionStatus" not in R4.types
    assert "shortTitle" in R4.types["EvidenceVariable"].element_names
    characteristic = {element.name for element in R4.shapes["EvidenceVariable.characteristic"]}
    assert "definitionByCombination" not in characteristic


def test_types_and_parameters_have_stable_numbers() -> None:
    numbers = [definition.number for definition in R4.types.values()]
    assert numbers == list(range(1, 147))
    assert R4.types["Account"].number == 1
    assert R4.types["VisionPrescription"].number == 146
    for definition in R4.types.values():
        assert [param.bit for param in definition.params.values()] == list(
            range(len(definition.params))
        )
        assert len(definition.params) < 63, "the presence mask of a record has 63 bits"


def test_common_parameters_have_the_same_bit_in_every_type() -> None:
    common = ("_id", "_lastUpdated", "_profile", "_security", "_source", "_tag")
    for definition in R4.types.values():
        assert [definition.params[name].bit for name in common] == [0, 1, 2, 3, 4, 5]


def test_every_parameter_of_a_simple_type_compiles() -> None:
    simple = [
        (name, param)
        for name, definition in R4.types.items()
        for param in definition.params.values()
        if param.kind not in {"composite", "special"}
    ]
    assert len(simple) == 2500
    assert all(read(param.expression, name, R4) for name, param in simple)


def test_the_layout_names_only_parameters_that_exist_and_fit() -> None:
    for definition in R4.types.values():
        params = definition.params
        assert all(params[name].kind == "reference" for name in definition.patient_params)
        assert all(params[name].kind == "date" for name in definition.time_params)
        assert all(params[name].kind == "token" for name in definition.keyed_params)
        assert all(name in params for name in definition.compartment_params)


def test_a_record_about_a_patient_never_passes_as_nobodys() -> None:
    assert R4.types["Observation"].patient_params[0] == "subject"
    assert R4.types["Coverage"].patient_params[0] == "beneficiary"
    assert R4.types["Condition"].patient_params[0] == "patient"
    # Outside R4's compartment, and still about one patient:
    assert R4.types["Task"].patient_params == ("patient",)
    assert R4.types["Task"].compartment_params == ()
    about_patients = {
        name
        for name, definition in R4.types.items()
        if "patient" in definition.params and not definition.patient_params
    }
    assert about_patients == set()


def test_targets_are_what_the_element_itself_allows() -> None:
    params = R4.types["Observation"].params
    assert params["patient"].targets == ("Patient",)
    assert params["encounter"].targets == ("Encounter",)
    assert params["subject"].targets == ("Device", "Group", "Location", "Patient")


def test_a_code_with_one_possible_system_says_which() -> None:
    assert R4.types["Patient"].params["gender"].implied_system == (
        "http://hl7.org/fhir/administrative-gender"
    )
    assert R4.types["Observation"].params["code"].implied_system is None


def test_operations_and_compartments_are_there() -> None:
    assert set(R4.compartments) == {
        "Device",
        "Encounter",
        "Patient",
        "Practitioner",
        "RelatedPerson",
    }
    everything = [one for one in R4.operations if one.code == "everything"]
    assert any(one.types == ("Patient",) and one.on_instance for one in everything)
