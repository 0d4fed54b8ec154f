"""FHIRPath 2.0, section 5 and 7: the functions, and those that were added since."""

from __future__ import annotations

import pytest
from pathcases import ask, expected, lines

EXISTENCE = lines("""
name.empty() => false
photo.empty() => true
{}.empty() => true
name.exists() => true
photo.exists() => false
name.exists(use = 'usual') => true
name.exists(use = 'nickname') => false
name.all(given.exists()) => true
name.all(period.exists()) => false
{}.all(false) => true
name.select(given.exists()).allTrue() => true
name.select(period.exists()).allTrue() => false
name.select(period.exists()).anyTrue() => true
name.select(period.exists()).anyFalse() => true
name.select(period.exists()).allFalse() => false
{}.allTrue() => true
{}.anyTrue() => false
(1 | 2).allTrue() => error
name.first().subsetOf($this.name) => true
name.subsetOf($this.name.first()) => false
name.supersetOf($this.name.first()) => true
name.first().supersetOf($this.name) => false
(1 | 2 | 3).subsetOf((1 | 2 | 3 | 4)) => true
name.count() => 3
(1 | 2 | 3).isDistinct() => true
name.given.isDistinct() => false
name.given.distinct() => ["Peter", "James", "Jim"]
name.given.distinct().count() => 3
""")

FILTERING = lines("""
name.where(use = 'usual').given => "Jim"
name.where(given = 'Jim').use => "usual"
name.where(given) => error
name.where($index = 1).given => "Jim"
name.given.where(substring($this.length() - 3) = 'ter').count() => 2
name.select(given.first()) => ["Peter", "Jim", "Peter"]
name.select($index) => [0, 1, 2]
name.repeat('test').count() => 1
contained.repeat(partOf).reference => "#"
(1 | 2).repeat(iif($this < 5, $this + 1, {})) => [2, 3, 4, 5]
name.ofType(HumanName).count() => 3
name.ofType(Address) => []
contained.ofType(Organization).name => "Ward"
""")

SUBSETTING = lines("""
name[1].given => "Jim"
name.first().single().use => "official"
name.single() => error
photo.single() => []
name.first().use => "official"
name.last().use => "maiden"
name.tail().use => ["usual", "maiden"]
name.skip(1).use => ["usual", "maiden"]
name.skip(5) => []
name.skip(-1).count() => 3
name.take(2).use => ["official", "usual"]
name.take(0) => []
name.take('a') => error
(1 | 2 | 3).intersect(2 | 4) => 2
name.given.intersect('Peter' | 'Jim') => ["Peter", "Jim"]
(1 | 2 | 3).exclude(2) => [1, 3]
name.given.exclude('Jim') => ["Peter", "James", "Peter", "James"]
""")

COMBINING = lines("""
name.select(use.union(given)).count() => 8
(1 | 2).union(2 | 3) => [1, 2, 3]
(1 | 2).combine(2 | 3) => [1, 2, 2, 3]
name.given.combine('Ann').count() => 6
""")

CONVERSION = lines(r"""
iif(true, 'a', 'b') => "a"
iif(false, 'a', 'b') => "b"
iif({}, 'a', 'b') => "b"
iif(false, 'a') => []
iif(true, true, (1 | 2).single()) => true
iif(1 | 2, 'a', 'b') => error
name.first().iif(use = 'official', given.first(), 'no') => "Peter"
name.iif(true, 1, 2) => error
'1'.toInteger() => 1
'-1'.toInteger() => -1
'0.0'.toInteger() => []
'st'.toInteger() => []
true.toInteger() => 1
'2147483648'.toInteger() => []
'2147483648'.toLong() => 2147483648
'1'.convertsToInteger() => true
'1.0'.convertsToInteger() => false
{}.convertsToInteger() => []
(1 | 2).toInteger() => error
'1.10'.toDecimal() => 1.10
'st'.toDecimal() => []
true.toDecimal() = 1.0 => true
1.convertsToDecimal() => true
'true'.toBoolean() => true
'Y'.toBoolean() => true
'0'.toBoolean() => false
'x'.toBoolean() => []
1.toBoolean() => true
2.toBoolean() => []
1.0.convertsToBoolean() => true
1.toString() => "1"
0.0.toString() => "0.0"
true.toString() => "true"
@2014-12.toString() => "2014-12"
@T10:30.toString() => "10:30"
(5 'mg').toString() => "5 'mg'"
name.first().toString() => []
'2015-02'.toDate() => "2015-02"
'2015-02-30'.toDate() => []
'2015-02-04T14:34:28'.convertsToDate() => false
@2015-02-04T14:34:28.toDate() => "2015-02-04"
'2015-02-04T14:34:28+10:00'.toDateTime() => "2015-02-04T14:34:28+10:00"
'2015'.toDateTime() is DateTime => true
'14:34'.toTime() => "14:34"
'14:34:28.123'.convertsToTime() => true
'25'.toTime() => []
1.toQuantity() = 1 '1' => true
'1'.toQuantity() = 1 '1' => true
'1 day'.toQuantity() = 1 day => true
'1 \'wk\''.toQuantity() = 1 week => true
'1 \'mo\''.toQuantity() = 1 month => []
'1 wk'.convertsToQuantity() => false
'1.a'.convertsToQuantity() => false
'1 \'cm\''.toQuantity('mm').value => 10
1 'cm'.toQuantity('s') => []
1 year.toQuantity('month') => "12 months"
""")

TEXTS = lines(r"""
'abcdefg'.indexOf('bc') => 1
'abcdefg'.indexOf('x') => -1
'abcabc'.lastIndexOf('bc') => 4
'12345'.substring(2) => "345"
'12345'.substring(2, 1) => "3"
'12345'.substring(2, 5) => "345"
'12345'.substring(25) => []
'12345'.substring(-1) => []
'12345'.substring({}) => []
{}.substring(25) => []
1.substring(1) => error
'12345'.startsWith('12') => true
'12345'.startsWith('') => true
'12345'.endsWith('45') => true
'12345'.contains('34') => true
{}.contains('a') => []
't'.upper() => "T"
'T'.lower() => "t"
'123456'.replace('234', 'X') => "1X56"
'abc'.replace('', 'x') => "xaxbxcx"
'123456'.replace('234', '') => "156"
'123456'.replace('2', {}) => []
'http://fhir.org/Library/a|4.0.1'.matches('Library') => true
'http://fhir.org/Library/a|4.0.1'.matches('^Library$') => false
'http://fhir.org/Library/a|4.0.1'.matches('library') => false
'a\nb'.matches('a.b') => true
'ab'.matches('(') => error
'ab'.matches({}) => []
'ab'.matchesFull('a') => false
'ab'.matchesFull('a.') => true
'Ēdole'.matches('^\\p{Lu}\\p{Ll}+$') => true
'Ēdole'.matches('[^\\p{L}]') => false
'123456'.replaceMatches('234', 'X') => "1X56"
'123456'.replaceMatches('', 'X') => "123456"
'abc123'.replaceMatches('[0-9]', '-') => "abc---"
'2020-11-22'.replaceMatches('(\\d+)-(\\d+)-(\\d+)', '$3/$2/$1') => "22/11/2020"
'11/30'.replaceMatches('(?<month>\\d+)/(?<day>\\d+)', '${day}.${month}') => "30.11"
'123456'.length() => 6
''.length() => 0
'abc'.toChars() => ["a", "b", "c"]
'a,,b'.split(',') => ["a", "", "b"]
name.given.join(',') => "Peter,James,Jim,Peter,James"
{}.join(',') => []
(1 | 2).join(',') => error
' a b '.trim() => "a b"
'test'.encode('base64') => "dGVzdA=="
'dGVzdA=='.decode('base64') => "test"
'test'.encode('hex') => "74657374"
'74657374'.decode('hex') => "test"
'subjects?_d'.encode('urlbase64') => "c3ViamVjdHM_X2Q="
'c3ViamVjdHM_X2Q='.decode('urlbase64') => "subjects?_d"
'6B6'.decode('hex') => error
'test'.encode('rot13') => []
'"1<2"'.escape('html') => "&quot;1&lt;2&quot;"
'&quot;1&lt;2&quot;'.unescape('html') => "\"1<2\""
'"1<2"'.escape('json') => "\\\"1<2\\\""
'\\"1<2\\"'.unescape('json') => "\"1<2\""
('a' | 'b').upper() => error
""")

MATHEMATICS = lines("""
(-5).abs() => 5
(-5.5).abs() => 5.5
(-5.5 'mg').abs() => "5.5 'mg'"
'a'.abs() => error
1.1.ceiling() => 2
(-1.1).ceiling() => -1
2.1.floor() => 2
(-2.1).floor() => -3
101.truncate() => 101
(-1.56).truncate() => -1
1.round() => 1
3.14159.round(3) => 3.142
1.5.round() => 2
(-1.5).round() => -2
1.round(-1) => error
0.exp() = 1 => true
{}.exp() => []
500.exp() > 1 => true
1.ln() = 0.0 => true
0.ln() => []
16.log(2) = 4.0 => true
100.0.log(10.0) = 2.0 => true
(-1).log(2) => []
16.log(2).toString() => "4"
1.log(10).toString() => "0"
1024.0.log(2).toString() => "10"
2.power(3) => 8
2.power(3) is Integer => true
2.5.power(2) = 6.25 => true
2.power(-1) = 0.5 => true
(-1).power(0.5) => []
9.power(999999999) => []
81.sqrt() = 9.0 => true
(-1).sqrt() => []
1e3 => error
""")

PRECISION = lines("""
1.58700.precision() => 5
@2014.precision() => 4
@2014-01-05T10:30:00.000.precision() => 17
@T10:30.precision() => 4
@T10:30:00.000.precision() => 9
1.587.lowBoundary() => 1.58650000
1.587.lowBoundary(2) => 1.58
1.587.lowBoundary(0) => 1
1.587.lowBoundary(-1) => []
1.587.lowBoundary(40) => []
(-1.587).lowBoundary() => -1.58750000
(-1.587).lowBoundary(2) => -1.59
1.lowBoundary() => 0.50000000
12.500.lowBoundary(4) => 12.4995
1.587 'cm'.lowBoundary(8) => "1.58650000 'cm'"
@2014.lowBoundary(6) => "2014-01"
@2014.lowBoundary(8) => "2014-01-01"
@2014-01-01T08.lowBoundary(17) => "2014-01-01T08:00:00.000+14:00"
@2014-01-01T08:05+08:00.lowBoundary(17) => "2014-01-01T08:05:00.000+08:00"
@T10:30.lowBoundary(9) => "10:30:00.000"
{}.lowBoundary() => []
1.587.highBoundary() => 1.58750000
1.587.highBoundary(2) => 1.59
(-1.587).highBoundary(2) => -1.58
0.0034.highBoundary(1) => 0.1
(-0.0034).highBoundary(1).toString() => "0.0"
@2014.highBoundary(6) => "2014-12"
@2014-02.highBoundary(8) => "2014-02-28"
@2014-01-01T08.highBoundary(17) => "2014-01-01T08:59:59.999-12:00"
@2014-01-01T08:05-05:00.highBoundary(17) => "2014-01-01T08:05:59.999-05:00"
@T10:30.highBoundary(9) => "10:30:59.999"
'a'.lowBoundary() => error
""")

TREES = lines("""
name.first().children() => ["official", "Chalmers", "Peter", "James"]
telecom.children().count() => 5
birthDate.children().count() => 2
generalPractitioner.descendants() => ["#o1"]
contained.descendants().count() => 4
descendants().where($this is Extension).count() => 2
""")

CLOCK = lines("""
today().toString().length() => 10
now().toString().length() > 10 => true
now() = now() => true
timeOfDay() is Time => true
@2014-01-05T10:30:40.123+08:00.yearOf() => 2014
@2014-01-05T10:30:40.123+08:00.millisecondOf() => 123
@2014-01-05T10:30:40.123+08:00.timezoneOffsetOf() => 8
@2014-01-05T10:30:40.123+08:00.dateOf() => "2014-01-05"
@2014-01-05T10:30:40.123+08:00.timeOf() => "10:30:40.123"
@T10:30.minuteOf() => 30
@2014.monthOf() => []
""")

AGGREGATES = lines("""
(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9).aggregate($this + $total, 0) => 45
(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9).aggregate($this + $total, 2) => 47
(3 | 1 | 2).aggregate(iif($total.empty(), $this, iif($this < $total, $this, $total))) => 1
{}.aggregate($this + $total, 0) => 0
(1 | 2 | 3).sum() => 6
(1 'm' | 50 'cm').sum() => "150 'cm'"
(1 | 3 | 2).max() => 3
(1 | 3 | 2).min() => 1
(1 | 2).avg() => 1.5
{}.sum() => []
(1 | 'a').sum() => error
""")

ORDERED = lines("""
(3 | 1 | 2).sort() => [1, 2, 3]
(3 | 1 | 2).sort(-$this) => [3, 2, 1]
('a' | 'c' | 'b').sort($this desc) => ["c", "b", "a"]
name.sort(-family, -given.first()).use => ["maiden", "official", "usual"]
name.sort(family, use).use => ["usual", "official", "maiden"]
(1 | 'a').sort() => error
coalesce({}, name.given, 1).first() => "Peter"
""")

VARIABLES = lines("""
defineVariable('v1', 'value1').select(%v1) => "value1"
defineVariable('n', name.first()).select(%n.given) => ["Peter", "James"]
name.first().defineVariable('n').select(%n.use) => "official"
defineVariable('a', 1).defineVariable('b', %a + 1).select(%a + %b) => 3
name.select(defineVariable('g', given.first()).select(%g & '!')) => ["Peter!", "Jim!", "Peter!"]
defineVariable('n', 1).active | defineVariable('m', 2).select(%n) => error
defineVariable('n', 1).select(%n) | defineVariable('n', 2).select(%n) => [1, 2]
select(defineVariable('x', 1).active).select(%x) => error
defineVariable('v', 1).defineVariable('v', 2).select(%v) => error
defineVariable('context', 1) => error
defineVariable(gender, 1) => error
%unknown => error
%ucum => "http://unitsofmeasure.org"
%sct => "http://snomed.info/sct"
%loinc => "http://loinc.org"
%`vs-administrative-gender` => "http://hl7.org/fhir/ValueSet/administrative-gender"
%"vs-administrative-gender" => "http://hl7.org/fhir/ValueSet/administrative-gender"
birthDate.extension(%"ext-patient-birthTime").exists() => true
% "sct" => error
"sct" => error
%'ext-patient-birthTime' => "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
%context.id => "example"
%resource.id => "example"
name.where(given.first() = %resource.name.first().given.first()).count() => 2
contained.select(%resource.id) => "example"
defineVariable('r', 'r-').select(defineVariable('v', 'a').select(%v)).select(%r & $this) => "r-a"
trace('all').id => "example"
name.trace('names', given).count() => 3
""")

FHIR = lines("""
birthDate.extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime').exists() => true
birthDate.extension(%`ext-patient-birthTime`).value is dateTime => true
birthDate.extension('http://example.org/none').empty() => true
birthDate.extension({}) => []
birthDate.hasValue() => true
multipleBirth.hasValue() => false
name.hasValue() => false
name.given.hasValue() => false
gender.getValue() => "male"
gender.getValue() is System.String => true
multipleBirth.getValue() => []
generalPractitioner.resolve().name => "Ward"
generalPractitioner.resolve().partOf.resolve().id => "example"
managingOrganization.resolve() => []
conformsTo('http://hl7.org/fhir/StructureDefinition/Patient') => true
conformsTo('http://hl7.org/fhir/StructureDefinition/Person') => false
conformsTo('http://hl7.org/fhir/StructureDefinition/DomainResource') => true
conformsTo('http://hl7.org/fhir/StructureDefinition/Resource') => true
conformsTo('http://trash') => error
gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender') => error
photo.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender') => []
checkModifiers().id => "example"
""")


@pytest.mark.parametrize(("expression", "answer"), EXISTENCE)
def test_section_5_1_existence_is_asked_for(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), FILTERING)
def test_section_5_2_items_are_filtered_and_projected(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), SUBSETTING)
def test_section_5_3_subsets_are_taken(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), COMBINING)
def test_section_5_4_collections_are_combined(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), CONVERSION)
def test_section_5_5_what_cannot_be_converted_is_empty(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), TEXTS)
def test_section_5_6_texts_are_worked_on(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), MATHEMATICS)
def test_section_5_7_numbers_are_calculated_with(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), PRECISION)
def test_precision_and_boundaries_follow_the_digits(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), TREES)
def test_section_5_8_trees_are_walked(expression: str, answer: str) -> None:
    found = ask(expression)
    assert [one for one in found if not isinstance(one, dict)] == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), CLOCK)
def test_section_5_9_the_clock_and_parts_of_dates(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), AGGREGATES)
def test_section_7_items_are_aggregated(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), ORDERED)
def test_items_are_sorted_and_chosen(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), VARIABLES)
def test_section_9_variables_are_seen_where_they_are_defined(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)


@pytest.mark.parametrize(("expression", "answer"), FHIR)
def test_functions_of_fhir_r4_know_records(expression: str, answer: str) -> None:
    assert ask(expression) == expected(answer)
