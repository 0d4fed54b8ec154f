"""Names say what a thing is, and one word has one meaning (GLOSSARY.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tidy.tree import Source, assert_clean, paths, sources

EMPTY_NAMES = {
    *("utils", "util", "helpers", "helper", "common", "misc", "core", "manager", "managers"),
    *("service", "services", "impl", "handler", "handlers", "processor", "processors"),
}

# Word of a name -> what to say instead, with the reason in GLOSSARY.md.
OVERLOADED = {
    "view": "page (what a person sees), relation (in SQL) or the name of the ViewDefinition",
    "views": "pages, relations or the names of the ViewDefinitions",
    "permission": "consent (given by the person), role (by the organisation) or purpose",
    "permissions": "consents, roles or purposes",
    "loglevel": "severity",
}
# A ViewDefinition is what these packages are about.
VIEWS_ALLOWED = ("quanmin/analytics/", "quanmin/definitions/")

WITHOUT_UNIT = {
    "timeout": "wait_seconds_max",
    "delay": "delay_seconds",
    "interval": "interval_seconds",
    "ttl": "kept_seconds_max",
    "duration": "duration_seconds",
    "elapsed": "elapsed_seconds",
    "amount": "amount_fen",
    "price": "price_fen",
}


def empty_names(listed: Iterable[str]) -> list[str]:
    """Modules and folders whose name says nothing."""
    found = set()
    for path in listed:
        parts = PurePosixPath(path).with_suffix("").parts
        if not path.endswith(".py"):
            parts = parts[:-1]
        for part in parts:
            if part in EMPTY_NAMES or part.startswith("base_"):
                found.add(f"{path}: '{part}' says nothing; name what it holds")
    return sorted(found)


def held(file: Source) -> Iterator[tuple[int, str]]:
    """Line and name of every parameter and annotated attribute."""
    for node in ast.walk(file.tree()):
        match node:
            case ast.arg():
                yield node.lineno, node.arg
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield node.lineno, name


def declared(file: Source) -> Iterator[tuple[int, str]]:
    """Line and name of every function, class, parameter and annotated attribute."""
    yield from held(file)
    for node in ast.walk(file.tree()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def words(name: str) -> list[str]:
    """The lower-case words of a snake_case or CamelCase name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def overloaded(files: Iterable[Source]) -> list[str]:
    """Names that use a word for something it does not mean here."""
    return [
        f"{file.path}:{line}: '{name}': say {OVERLOADED[word]}"
        for file in files
        for line, name in declared(file)
        for word in words(name)
        if word in OVERLOADED
        and not (word.startswith("view") and file.path.startswith(VIEWS_ALLOWED))
        and "definition" not in words(name)
    ]


def without_unit(files: Iterable[Source]) -> list[str]:
    """Parameters and fields that measure something and do not say in what."""
    return [
        f"{file.path}:{line}: '{name}' has no unit; say for example {WITHOUT_UNIT[name]}"
        for file in files
        for line, name in held(file)
        if name in WITHOUT_UNIT
    ]


def unclaiming(files: Iterable[Source]) -> list[str]:
    """Functions that answer yes or no under a name that is an order."""
    return [
        f"{file.path}:{node.lineno}: {node.name} answers yes or no; let its name be the claim "
        "(is_..., has_..., may_..., holds)"
        for file in files
        for node in ast.walk(file.tree())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and isinstance(node.returns, ast.Name)
        and node.returns.id == "bool"
        and words(node.name)[0] in {"get", "check", "validate", "test", "do"}
        and not node.name.startswith("test_")
    ]


def short_test_names(files: Iterable[Source]) -> list[str]:
    """Tests whose name is no sentence."""
    return [
        f"{file.path}:{node.lineno}: {node.name} is no sentence; say what holds"
        for file in files
        for node in ast.walk(file.tree())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name.split("_")) < 4
    ]


def test_no_module_is_named_by_an_empty_word() -> None:
    assert_clean(empty_names(paths()))


def test_no_word_is_used_for_two_things() -> None:
    assert_clean(overloaded(sources(".py", under="quanmin/")))


def test_measures_carry_their_unit() -> None:
    assert_clean(without_unit(sources(".py", under="quanmin/")))


def test_yes_or_no_is_asked_by_a_claim() -> None:
    assert_clean(unclaiming(sources(".py", under="quanmin/")))


def test_the_names_of_tests_are_sentences() -> None:
    assert_clean(short_test_names(sources(".py", under="tests/")))


def test_an_empty_name_is_noticed_in_a_module_and_in_a_folder() -> None:
    assert empty_names(["quanmin/blood/helpers.py"])
    assert empty_names(["quanmin/common/blood.py"])
    assert empty_names(["quanmin/blood/base_rule.py"])
    assert empty_names(["quanmin/base/rule.py", "docs/core.md"]) == []


def test_an_overloaded_word_is_noticed() -> None:
    assert overloaded([Source("quanmin/web/a.py", "def person_view(): ...")])
    assert overloaded([Source("quanmin/trust/a.py", "class ReadPermission: ...")])
    assert overloaded([Source("quanmin/web/a.py", "def review(): ...")]) == []
    assert overloaded([Source("quanmin/fhir/a.py", "class ViewDefinition: ...")]) == []


def test_a_measure_without_unit_is_noticed() -> None:
    assert without_unit([Source("quanmin/a.py", "def wait(timeout: float): ...")])
    assert without_unit([Source("quanmin/a.py", "def wait(wait_seconds_max: float): ...")]) == []


def test_a_boolean_order_is_noticed() -> None:
    assert unclaiming([Source("quanmin/a.py", "def check_age(a: int) -> bool: ...")])
    assert unclaiming([Source("quanmin/a.py", "def is_of_age(a: int) -> bool: ...")]) == []


def test_a_test_name_without_a_claim_is_noticed() -> None:
    assert short_test_names([Source("tests/unit/test_a.py", "def test_read(): ...")])
    assert short_test_names([Source("tests/test_a.py", "def test_a_read_is_logged(): ...")]) == []
