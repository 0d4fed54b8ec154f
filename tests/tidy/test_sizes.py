"""Nothing in the tree outgrows what a reader can hold: lines, functions, modules, templates.

A limit is raised only by a commit that argues for it.
"""

from __future__ import annotations

import ast
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from tidy.tree import Source, assert_clean, sources

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 60
KERNEL_LINES_MAX = 600
APPLICATION_MODULE_LINES_MAX = 250
APPLICATION_LINES_MAX = 600
TEMPLATE_LINES_MAX = 150
TEST_LINES_MAX = 800

CODE = (".py", ".sql", ".html", ".css", ".js", ".sh", ".txt", "Makefile", "pyproject.toml")


def columns(line: str) -> int:
    """The width of a line: a full-width character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def long_lines(files: Iterable[Source]) -> list[str]:
    """Lines over the limit. Data carries what its source says and is not wrapped."""
    return [
        f"{file.path}:{number}: {columns(line)} columns, at most {LINE_COLUMNS_MAX}: break it"
        for file in files
        if not file.path.startswith("quanmin/definitions/") or file.path.endswith(".py")
        for number, line in enumerate(file.lines, 1)
        if columns(line) > LINE_COLUMNS_MAX
    ]


def long_functions(files: Iterable[Source]) -> list[str]:
    """Functions over the limit, docstring and comments counted."""
    found = []
    for file in files:
        for node in ast.walk(file.tree()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(
                        f"{file.path}:{node.lineno}: {node.name} has {length} lines, at most "
                        f"{FUNCTION_LINES_MAX}: give its steps names"
                    )
    return found


def lines_max(path: str) -> int:
    """How long the Python file at `path` may be."""
    if path.startswith("tests/"):
        return TEST_LINES_MAX
    if path.startswith("quanmin/applications/"):
        return APPLICATION_MODULE_LINES_MAX
    return KERNEL_LINES_MAX


def long_modules(files: Iterable[Source]) -> list[str]:
    """Modules over their limit, and applications over theirs."""
    files = list(files)
    applications: dict[str, int] = defaultdict(int)
    for file in files:
        parts = file.path.split("/")
        if file.path.startswith("quanmin/applications/") and len(parts) > 3:
            applications[parts[2]] += len(file.lines)
    return [
        f"{file.path}: {len(file.lines)} lines, at most {lines_max(file.path)}: split it by what "
        "it is about"
        for file in files
        if len(file.lines) > lines_max(file.path)
    ] + [
        f"quanmin/applications/{name}: {total} lines of Python, at most {APPLICATION_LINES_MAX}: "
        "move what every application needs into the kit"
        for name, total in applications.items()
        if total > APPLICATION_LINES_MAX
    ]


def long_templates(files: Iterable[Source]) -> list[str]:
    """Templates over the limit."""
    return [
        f"{file.path}: {len(file.lines)} lines, at most {TEMPLATE_LINES_MAX}: take parts out"
        for file in files
        if len(file.lines) > TEMPLATE_LINES_MAX
    ]


def test_lines_fit_the_page() -> None:
    assert_clean(long_lines(sources(*CODE)))


def test_functions_fit_the_eye() -> None:
    assert_clean(long_functions(sources(".py")))


def test_modules_and_applications_keep_their_size() -> None:
    assert_clean(long_modules(sources(".py")))


def test_templates_keep_their_size() -> None:
    assert_clean(long_templates(sources(".html", under="quanmin/")))


def test_a_long_line_is_noticed_and_chinese_counts_double() -> None:
    assert long_lines([Source("a.py", "x" * 100)]) == []
    assert long_lines([Source("a.py", "x" * 101)])
    assert long_lines([Source("a.py", "全" * 50)]) == []
    assert long_lines([Source("a.py", "全" * 51)])


def test_a_long_function_is_noticed() -> None:
    def body(lines: int) -> str:
        return "def f():\n" + "    pass\n" * (lines - 1)

    assert long_functions([Source("a.py", body(60))]) == []
    assert long_functions([Source("a.py", body(61))])


def test_a_long_module_is_noticed_wherever_it_stands() -> None:
    assert long_modules([Source("quanmin/base/a.py", "\n" * 600)]) == []
    assert long_modules([Source("quanmin/base/a.py", "\n" * 601)])
    assert long_modules([Source("quanmin/applications/b/pages.py", "\n" * 251)])
    assert long_modules([Source("tests/unit/test_a.py", "\n" * 801)])


def test_an_application_of_many_small_modules_is_noticed() -> None:
    modules = [Source(f"quanmin/applications/b/{name}.py", "\n" * 201) for name in "cde"]
    assert long_modules(modules[:2]) == []
    assert long_modules(modules)


def test_a_long_template_is_noticed() -> None:
    assert long_templates([Source("quanmin/web/templates/a.html", "\n" * 150)]) == []
    assert long_templates([Source("quanmin/web/templates/a.html", "\n" * 151)])
