"""FHIRPath 2.0, sections 2 to 4 and 6: paths, literals, operators and their precedence."""

from __future__ import annotations

import pytest
from pathcases import OBSERVATION, ask, expected, lines

PATHS = lines("""
Patient.name.given => ["Peter", "James", "Jim", "Peter", "James"]
name.given => ["Peter", "James", "Jim", "Peter", "James"]
Patient.birthDate => "1974-12-25"
Patient.name[0].given[1] => "James"
name[5] => []
name[-1] => []
name.given[0] => "Peter"
Encounter.name => []
name.given1 => []
deceased => false
Patient.deceased => false
name.`given`.first() => "Peter"
`Patient`.active => true
Patient.name.period.end => "2002"
birthDate.id => "born"
birthDate.extension.value => "1974-12-25T14:35:45-05:00"
multipleBirth.extension.value => "a"
multipleBirth => [null]
multipleBirth.exists() => true
multipleBirth.hasValue() => false
Resource.id => "example"
DomainResource.id => "example"
HumanName.given => []
name[name] => error
name['a'] => error
""")

LITERALS = lines(
    r"""
{} => []
true => true
'Peter' = 'P\u0065ter' => true
'\'\"\`\\\/' => "'\"`\\/"
'a\tb\nc\rd\fe' => "a\tb\nc\rd\fe"
0.1 => 0.1
1.0 = 1 => true
0000 => 0
-5 => -5
+5 => 5
-2147483648 => -2147483648
2147483648 => error
9223372036854775807L => 9223372036854775807
@2015 => "2015"
@2015-02 => "2015-02"
@2015-02-04 => "2015-02-04"
@2015T => "2015"
@2015T is DateTime => true
@2015 is Date => true
@2015-02-04T14 is DateTime => true
@2015-02-04T14:34:28.123+09:00 => "2015-02-04T14:34:28.123+09:00"
@2015-02-04T14:34:28Z => "2015-02-04T14:34:28Z"
@T14:34:28.123 => "14:34:28.123"
@T14:34:28Z => error
@T14:34:28+10:00 => error
@2015-02-30 => error
@2015-13 => error
@T25 => error
4 days => "4 days"
1 day => "1 day"
4 'mg/dL' => "4 'mg/dL'"
10.5 'mg' is Quantity => true
1 year is System.Quantity => true
2 + 2 // a comment => 4
2 /* a comment */ + 2 => 4
2 + 2 /* no end => error
2 + 2 / => error
'no end => error
"double" => error
1 # 2 => error
""".replace("1 # 2", "1 \\ 2")
)

PRECEDENCE = lines("""
1 + 2 * 3 + 4 => 11
-1.convertsToInteger() => error
(-1).convertsToInteger() => true
-1 + 2 => 1
1 > 2 is Boolean => error
(1 > 2) is Boolean => true
(1 | 1 is Integer).count() => 2
true and '0215' in ('0215' | '0216') => true
true or false and false => true
false implies false or false => true
1 = 1 in true => true
1 | 2 = 2 | 1 => false
2 * 3 & 'a' => error
'a' & 'b' = 'ab' => true
1 + 1 > 1 => true
5 mod 3 * 2 => 4
a b => error
1 + => error
* 2 => error
(1 => error
name. => error
name.( => error
name.where(use = 'usual' => error
count(1) => error
name.nothing() => error
""")

EQUALITY = lines("""
1 = 1 => true
1 = 2 => false
{} = {} => []
1 = {} => []
'a' = 'A' => false
true = 1 => false
1.1 = 1.10 => true
'1' = 1 => false
(1 | 2 | 3) = (1 | 2 | 3) => true
(1 | 2 | 3) = (3 | 2 | 1) => false
(1 | 1) = (1 | 2 | {}) => false
name.take(2) = name.take(2).first() | name.take(2).last() => true
name = name => true
name[0] = name[2] => false
name[0].given = name[2].given => true
@2012-04-15 = @2012-04-15 => true
@2012-04-15 = @2012-04-16 => false
@2012-04-15 = @2012-04-15T10:00:00 => []
@2012 = @2012-01 => []
@2012 = @2013-01 => false
@2012-04-15T15:30:31 = @2012-04-15T15:30:31.0 => true
@2012-04-15T15:30:31 = @2012-04-15T15:30:31.1 => false
@2012-04-15T15:00:00+02:00 = @2012-04-15T16:00:00+03:00 => true
@2017-11-05T01:30:00.0-04:00 = @2017-11-05T00:30:00.0-05:00 => true
@2017-11-05T01:30:00.0-04:00 = @2017-11-05T01:15:00.0-05:00 => false
@2012-04-15T15:00:00Z = @2012-04-15T10:00:00 => []
@2012-04-15T15:00:00Z = @2012-04-18T10:00:00 => false
@T10:30 = @T10:30:00 => []
@T10:30:00 = @2012 => false
Patient.birthDate = @1974-12-25 => true
Patient.birthDate != @1974-12-25 => false
Patient.birthDate != @T12:14:15 => true
Patient.birthDate = '1974-12-25' => false
1 != 2 => true
1 != {} => []
(1 | 2) != (1 | 2 | 3) => true
1.2 / 1.8 = 0.6666666666666666666666666666666667 => true
0.1 + 0.2 = 0.3 => true
""")

EQUIVALENCE = lines(r"""
1 ~ 1 => true
{} ~ {} => true
1 ~ {} => false
'a' ~ 'A' => true
'a\tb' ~ 'a b' => true
'a  b' ~ 'a b' => false
1.1 ~ 1.10 => true
0.67 ~ 1.2 / 1.8 => true
1.1 ~ 1.2 => false
(1 | 2 | 3) ~ (3 | 2 | 1) => true
(1 | 2) ~ (1 | 3) => false
@2012-04-15 ~ @2012-04-15T10:00:00 => false
@2012-04 ~ @2012-04-15 => false
@2012-04-15T15:30:31 ~ @2012-04-15T15:30:31.0 => true
name ~ name => true
name[0].given ~ ('james' | 'peter') => true
name[0] ~ name[1] => false
1 !~ 1 => false
1 !~ 2 => true
{} !~ {} => false
true ~ 1 => false
""")

ORDER = lines("""
1 < 2 => true
1.0 < 1.2 => true
1 <= 1.0 => true
2 > 1 => true
'a' < 'b' => true
'A' < 'a' => true
1 < {} => []
1 < 'a' => error
(1 | 2) < 3 => error
true < false => error
@2014-12-12 < @2014-12-13 => true
@2014-12-13T12:00:00 < @2014-12-13T12:00:01 => true
@T12:00:00 < @T14:00:00 => true
@2018-03 < @2018-03-01 => []
@2018-03-01T10:30 < @2018-03-01T10:30:00 => []
@T10:30 < @T10:30:00 => []
@2018-03-01T10:30:00 < @2018-03-01T10:30:00.0 => false
@2018-03-01T10:30:00 <= @2018-03-01T10:30:00.0 => true
@2018 < @T10 => error
@2018 > '2017' => error
@2017-11-05T01:30:00.0-04:00 > @2017-11-05T01:15:00.0-05:00 => false
@2017-11-05T01:30:00.0-04:00 < @2017-11-05T01:15:00.0-05:00 => true
Patient.birthDate < today() => true
now() > Patient.birthDate => true
now() > today() => []
""")

TYPES = lines("""
1 is Integer => true
1 is System.Integer => true
1 is Decimal => false
{} is Integer => []
Patient.active is boolean => true
Patient.active is Boolean => false
Patient.active is FHIR.boolean => true
Patient.active is System.Boolean => false
Patient is Patient => true
Patient is DomainResource => true
Patient is FHIR.`Patient` => true
Patient is System.Patient => false
Patient is System.Pacient => error
Patient is Pacient => error
Patient.gender is string => true
Patient.gender is code => true
Patient.gender is id => false
Patient.id is System.String => true
Patient.name is HumanName => error
Patient.name.as(HumanName).use => error
Patient.name.ofType(HumanName).use => ["official", "usual", "maiden"]
(Patient.gender as code) => "male"
Patient.gender as string => "male"
Patient.gender.as(id) => []
Patient.gender.as(string1) => error
Patient.gender.ofType(code) => "male"
Patient.gender.ofType(FHIR.code) => "male"
Patient.gender.ofType(string) => []
Patient.gender.ofType(Element) => "male"
Patient.id.ofType(string) => "example"
Patient.name.given.first().as(FHIR.string) => "Peter"
Patient.name.given.first().as(System.String) => "Peter"
Patient.name.given.first().as(System.string) => "Peter"
Patient.name.given.first().as(System.String) is System.String => true
(Patient.name.given.first() as System.String) is FHIR.string => false
Patient.name.given.first().as(System.Integer) => []
Patient.birthDate.as(System.Date) is System.Date => true
Patient.active as System.Boolean => true
Patient.multipleBirth as System.Integer => []
Patient.name.given.first().is(System.string) => false
Patient.name.given.first().getValue().is(System.string) => true
Patient.name.given.is(System.string1) => error
(1 as Integer) + 1 => 2
1.type().namespace => "System"
1.type().name => "Integer"
Patient.active.type().namespace => "FHIR"
Patient.active.type().name => "boolean"
Patient.type().name => "Patient"
telecom[0].is(ContactPoint) => true
contained[0] is Organization => true
""")

COLLECTIONS = lines("""
(1 | 2 | 2).count() => 2
name.select(use | given).count() => 8
(name.given | name.family).count() => 5
name.given.combine(name.family).count() => 7
1 in (1 | 2) => true
3 in (1 | 2) => false
1 in {} => false
{} in (1 | 2) => []
(1 | 2) in (1 | 2) => error
(1 | 2) contains 1 => true
{} contains 1 => false
(1 | 2) contains {} => []
(1 year | 12 months) => ["1 year"]
""")

LOGIC = lines("""
true and true => true
true and {} => []
{} and false => false
false and {} => false
{} and {} => []
true or {} => true
{} or true => true
false or {} => []
{} or {} => []
true xor false => true
true xor true => false
true xor {} => []
true implies false => false
true implies {} => []
false implies {} => true
{} implies true => true
{} implies false => []
true.not() => false
{}.not() => []
(0).not() => false
'a' and true => true
(1 | 2) and true => error
name and true => error
""")


CONCEPTS = {
    "resourceType": "Observation",
    "code": {"id": "a", "coding": [{"system": "http://s", "code": "1", "display": "one"}]},
    "category": [
        {"coding": [{"system": "http://s", "code": "1", "version": "2"}], "text": "other"},
        {"coding": [{"system": "http://s", "code": "2"}, {"system": "http://s", "code": "1"}]},
        {"coding": [{"system": "http://t", "code": "1"}], "text": "one"},
        {"text": "One"},
    ],
    "component": [
        {"id": "b", "code": {"coding": [{"system": "http://s", "code": "1"}]}, "valueInteger": 1},
        {
            "code": {"coding": [{"system": "http://s", "code": "1", "display": "x"}]},
            "valueInteger": 1,
        },
        {"code": {"coding": [{"system": "http://s", "code": "1"}]}, "valueInteger": 2},
    ],
    "method": {"text": "one"},
}

CODED = lines("""
code.coding ~ category[0].coding => true
code.coding = category[0].coding => false
code.coding ~ category[2].coding => false
code ~ category[0] => true
code ~ category[1] => true
code ~ category[2] => false
code ~ category[3] => false
code !~ category[1] => false
method ~ category[3] => true
method ~ category[2] => false
component[0] ~ component[1] => true
component[0] = component[1] => false
component[0] ~ component[2] => false
component[0] ~ code => false
category.take(2) ~ category.take(2) => true
$this ~ $this => true
""")


@pytest.mark.parametrize(("expression", "answer"), CODED)
def test_fhirpath_2_9_1_6_codings_are_equivalent_by_system_and_code(
    expression: str, answer: str
) -> None:
    assert ask(expression, CONCEPTS) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), PATHS)
def test_section_3_paths_lead_to_elements(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), LITERALS)
def test_section_4_1_literals_say_what_they_mean(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), PRECEDENCE)
def test_section_6_8_operators_bind_in_their_order(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), EQUALITY)
def test_section_6_1_1_equality_is_open_where_precision_is(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), EQUIVALENCE)
def test_section_6_1_2_equivalence_looks_past_small_things(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), ORDER)
def test_section_6_2_order_is_open_where_precision_is(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), TYPES)
def test_section_6_3_types_are_those_of_two_namespaces(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), COLLECTIONS)
def test_section_6_4_collections_are_united_and_searched(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), LOGIC)
def test_section_6_5_logic_has_three_values(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


QUANTITIES = lines("""
Observation.value.unit => "lbs"
Observation.valueQuantity.unit => []
Observation.value is Quantity => true
Observation.value is Period => false
(Observation.value as Quantity).unit => "lbs"
Observation.value.as(Period).start => []
Observation.value.ofType(Quantity).value => 185
Observation.value = 185 '[lb_av]' => true
Observation.value > 180 '[lb_av]' => true
Observation.value > 100 'kg' => false
Observation.value < 'a' => error
Observation.value > 3 'm' => []
Observation.value.value > 180.0 => true
Observation.value + 1 '[lb_av]' = 186 '[lb_av]' => true
4.0000 'g' = 4000.0 'mg' => true
4 'g' ~ 4000 'mg' => true
4 'g' != 4040 'mg' => true
4 'g' ~ 4040 'mg' => true
4.04 'g' ~ 4000 'mg' => false
4 'g' = 4 'm' => []
4 'g' = 4 => []
7 days = 1 week => true
7 days = 1 'wk' => true
6 days < 1 week => true
8 days > 1 week => true
1 year = 1 'a' => []
1 year ~ 1 'a' => true
1 month ~ 1 'mo' => true
1 second = 1 's' => true
12 months = 1 year => true
2.0 'cm' * 2.0 'm' = 0.040 'm2' => true
4.0 'g' / 2.0 'm' = 2 'g/m' => true
1.0 'm' / 1.0 'm' = 1 '1' => true
1 'cm' + 1 'm' => "101 'cm'"
1 'm' - 3 'cm' = 97 'cm' => true
1 'm' + 1 's' => []
-5 'mg' => "-5 'mg'"
100 'Cel' = 212 '[degF]' => true
1 'm' / 0 's' => []
7 'm' div 2 'm' = 3 => true
1 'cm'.comparable(1 '[in_i]') => true
1 'cm'.comparable(1 's') => false
5.5 'mg'.value => 5.5
5.5 'mg'.unit => "mg"
""")

ARITHMETIC = lines("""
1 + 1 => 2
1.2 + 1.8 = 3.0 => true
'a' + 'b' => "ab"
1 + {} => []
1 + 'a' => error
(1 | 2) + 1 => error
'a' - 'b' => error
1.8 - 1.2 = 0.6 => true
1.2 * 1.8 = 2.16 => true
'a' * 2 => error
4 / 2 = 2.0 => true
(4 / 2) is Decimal => true
1 / 2 = 0.5 => true
1 / 0 => []
5 div 2 => 2
-5 div 2 => -2
2.2 div 1.8 => 1
5 div 0 => []
5 mod 2 => 1
2.2 mod 1.8 = 0.4 => true
5 mod 0 => []
2147483647 + 1 => []
-(-2147483648) => []
(-2147483648).abs() => []
-(-9223372036854775807L - 1L) => []
(-9223372036854775807L - 1L) div (-1L) => []
9223372036854775807L.power(2) => []
-(-9223372036854775807L) => 9223372036854775807
2147483647L + 1 => 2147483648
9223372036854775807L + 1 => []
'a' & {} => "a"
{} & {} => ""
1 & 'a' => error
(1 | 2 | 3) & 'b' => error
-'a' => error
-true => error
123456789012345678.123456789 * 10 = 1234567890123456781.23456789 => true
""")

DATES = lines("""
@1973-12-25 + 7 days => "1974-01-01"
@1973-12-25 + 7.7 days => "1974-01-01"
@1973-12-25T00:00:00.000+10:00 + 7 days => "1974-01-01T00:00:00.000+10:00"
@1973-12-25T00:00:00.000+10:00 + 1 second => "1973-12-25T00:00:01.000+10:00"
@1973-12-25T00:00:00.000+10:00 + 10 millisecond => "1973-12-25T00:00:00.010+10:00"
@1973-12-25T00:00:00.000+10:00 + 1 minute => "1973-12-25T00:01:00.000+10:00"
@1973-12-25T00:00:00.000+10:00 + 1 'h' => "1973-12-25T01:00:00.000+10:00"
@1973-12-25T00:00:00.000+10:00 + 0.1 's' => "1973-12-25T00:00:00.100+10:00"
@1973-12-25 + 1 month => "1974-01-25"
@1973-12-25 + 1 week => "1974-01-01"
@1973-12-25 + 1 year => "1974-12-25"
@1973-12-25 + 1 'd' => "1973-12-26"
@1973-12-25 + 1 'wk' => "1974-01-01"
@1973-12-25 + 1 'mo' => error
@1973-12-25 + 1 'a' => error
@1974-12-25 - 1 'month' => "1974-11-25"
@1974-12-25 + 7 => error
@1974-12-25 - 1 'cm' => error
@2016-01-31 + 1 month => "2016-02-29"
@2016-02-29 + 1 year => "2017-02-28"
@2014 + 24 months => "2016"
@2014 + 23 months => "2015"
@2019-03-01 + 24 months => "2021-03-01"
@2016 + 364 days => "2016"
@2016-01-01 + 47 hours => "2016-01-02"
@T01:00:00 + 2 hours => "03:00:00"
@T23:00:00 + 50 hours => "01:00:00"
@T00:30:00 - 1 hour => "23:30:00"
@T01:00 + 1 day => error
@9999-12-31 + 1 day => []
@0001-01-01 - 1 day => []
Patient.birthDate + 1 day => "1974-12-26"
{} + 1 day => []
@2015 + {} => []
""")


@pytest.mark.parametrize(("expression", "answer"), QUANTITIES)
def test_section_4_1_8_quantities_know_their_units(expression: str, answer: str) -> None:
    assert ask(expression, OBSERVATION) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), ARITHMETIC)
def test_section_6_6_arithmetic_is_exact(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), DATES)
def test_section_6_7_dates_move_by_the_calendar(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)
