"""Whatever the expression and whatever the record: an answer, or the problem that says why not."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from property.fhir.generated import damaged, resources

from quanmin.fhir.path import Environment, PathProblem, compile_path
from quanmin.fhir.path.environment import Strictness
from quanmin.fhir.path.functions import FUNCTIONS
from quanmin.fhir.path.nodes import children, root

NAMES = st.sampled_from(
    ("name", "given", "value", "code", "coding", "system", "extension", "id", "subject", "period",
     "start", "status", "identifier", "contained", "reference", "text", "Patient", "Observation")
)  # fmt: skip
LITERALS = st.sampled_from(
    ("{}", "true", "false", "0", "1", "-1", "2147483647", "5L", "1.50", "0.0000000001", "'a'",
     "''", "'2015-02-04'", "@2015", "@2015-02-04T14:34:28.123+08:00", "@2015T", "@T14:34", "@9999",
     "4 days", "1 year", "1 'mo'", "0.5 'g/L'", "23 'Cel'", "7 '[pH]'", "9 'x'", "%resource",
     "%context", "%ucum", "%unknown", "$this", "$index", "$total")
)  # fmt: skip
OPERATORS = st.sampled_from(
    ("=", "!=", "~", "!~", "<", "<=", ">", ">=", "+", "-", "*", "/", "div", "mod", "&", "|", "and",
     "or", "xor", "implies", "in", "contains")
)  # fmt: skip
TYPES = st.sampled_from(("String", "Quantity", "FHIR.string", "Patient", "Element", "dateTime"))
CALLS = st.sampled_from(sorted(FUNCTIONS))


def _call(name: str, args: list[str], type_name: str) -> str:
    function = FUNCTIONS[name]
    if function.takes_types:
        return f"{name}({type_name})"
    if name == "defineVariable":
        return f"{name}('v{len(args[0])}')"
    return f"{name}({', '.join(args[: max(function.least, min(len(args), function.most))])})"


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    args = st.lists(inner, min_size=3, max_size=3)
    return st.one_of(
        st.builds("{}.{}".format, inner, NAMES),
        st.builds("({}).{}".format, inner, st.builds(_call, CALLS, args, TYPES)),
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("({} is {})".format, inner, TYPES),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("(-{})".format, inner),
    )


EXPRESSIONS = st.recursive(NAMES | LITERALS, _larger, max_leaves=8)
STRICTNESS = st.sampled_from(("lenient", "standard", "checked"))


def is_answered(expression: str, record: Any, strictness: Strictness = "standard") -> bool:
    """Whether evaluating gives an answer or the one problem it may give."""
    try:
        path = compile_path(expression)
        found = path.evaluate(record, environment=Environment(strictness=strictness))
    except PathProblem as problem:
        return 0 <= problem.at <= len(expression) and problem.status == 400
    return all(isinstance(node.location, str) for node in found)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, damaged(), STRICTNESS)
@example("(1).toQuantity('')", {"resourceType": "Patient"}, "standard")
@example("('a').decode('hex')", {"resourceType": "Patient"}, "standard")
def test_an_expression_is_answered_or_refused(
    expression: str, record: dict[str, Any], strictness: Strictness
) -> None:
    assert is_answered(expression, record, strictness)


@settings(max_examples=300, deadline=None)
@given(st.text("()[]{}.,'`@T%$|&=<>!~+-*/ \\0159abcisZ\n", max_size=30))
def test_any_text_is_read_or_refused(expression: str) -> None:
    assert is_answered(expression, {"resourceType": "Patient"})


@settings(max_examples=60, deadline=None)
@given(resources())
def test_every_element_of_a_record_is_found_at_its_own_place(record: dict[str, Any]) -> None:
    nodes, stack = [], [root(record)]
    while stack:
        node = stack.pop()
        nodes.append(node)
        stack += children(node)
    places = [node.location for node in nodes]
    assert len(set(places)) == len(places)
    assert len(compile_path("descendants()").evaluate(record)) == len(nodes) - 1
    for node in nodes[:20]:
        path = compile_path(node.location)
        found = path.evaluate(record)
        assert [(one.value, one.extra) for one in found] == [(node.value, node.extra)]
