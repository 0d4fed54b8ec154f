"""What must not stand anywhere: one machine's places, registries, silent exceptions, code lists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable

from tidy.tree import Source, assert_clean, sources

TEXT = (
    *(".py", ".md", ".sql", ".html", ".css", ".js", ".sh", ".toml", ".lock", ".txt", ".po"),
    *("Makefile", ".ci/run", ".gitignore"),
)
THIS = "tests/tidy/test_texts.py"  # holds the samples

MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|tmp/brief)/\w|/opt/wheels")
REGISTRY = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates|debian|maven)\.(?:org|com|io)\b"
    # `fhir-registry...` stands in the names of SMART's own extensions.
    r"|(?<!fhir-)registry\.\w+\.\w{2,3}\b",
    re.IGNORECASE,
)
_TRANSLATED = re.compile(r"\{%-?\s*trans\b.*?endtrans\s*-?%\}", re.DOTALL)
_ENGLISH_COLON = re.compile(r".*(?:(?:\}\}|@|%\}|\)|>):(?=\s|\{|<)|join\([\"']; )")
# The tree speaks of the platform and never of who or what typed it.
MAKING = re.compile(
    r"\b(?:Claude|ChatGPT|GPT-\d|Copilot|large language models?|as an AI|AI[- ]generated"
    r"|sub-?agents?|(?:lead|house|node|web|api|fhir|search|demo) engineer)\b",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|not (?:yet )?implemented", re.IGNORECASE)

SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<rest>.*)$")
ARGUED = re.compile(r"^(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[a-z0-9, -]+\])\s*(?:-|—|#)\s*\S+\s\S+")

# What a browser would fetch by itself from elsewhere; a link that a person follows is none.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""",
    re.IGNORECASE,
)

CODE_FORMS = {
    "ICD-10": re.compile(r"^[A-TV-Z]\d\d(?:\.\d{1,2})?$"),
    "LOINC": re.compile(r"^\d{1,5}-\d$"),
    "division": re.compile(r"^\d{6}$|^\d{12}$"),
}
CODES_IN_CODE_MAX = 3


def mentions(pattern: re.Pattern[str], advice: str, files: Iterable[Source]) -> list[str]:
    """Lines in which `pattern` is found."""
    return [
        f"{file.path}:{number}: '{found.group()}': {advice}"
        for file in files
        if file.path != THIS
        for number, line in enumerate(file.lines, 1)
        if (found := pattern.search(line))
    ]


def machine_places(files: Iterable[Source]) -> list[str]:
    """Paths of one machine."""
    return mentions(MACHINE, "a path of one machine; find it from the tree or a setting", files)


def registries(files: Iterable[Source]) -> list[str]:
    """Addresses of package registries."""
    return mentions(REGISTRY, "no registry is named here; whoever installs has their own", files)


def makings(files: Iterable[Source]) -> list[str]:
    """Words about how the project is written."""
    return mentions(MAKING, "say what the platform does, not how it was written", files)


def fetched(files: Iterable[Source]) -> list[str]:
    """What pages would fetch from third parties."""
    return mentions(FETCHED, "a page asks nobody else; lay the file under static/", files)


def unfinished(files: Iterable[Source]) -> list[str]:
    """Promises in comments."""
    return mentions(UNFINISHED, "finish it, or write an issue; the tree holds what works", files)


def unargued(files: Iterable[Source]) -> list[str]:
    """Suppressions without a code or without a reason."""
    found = []
    for file in files:
        for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
            if token.type != tokenize.COMMENT:
                continue
            suppression = SUPPRESSION.search(token.string)
            if suppression and not ARGUED.match(suppression["rest"]):
                found.append(
                    f"{file.path}:{token.start[0]}: '{token.string}': name the rule and say why "
                    "(# noqa: X123 - why it is right here; # type: ignore[code]  # why)"
                )
    return found


def code_lists(files: Iterable[Source]) -> list[str]:
    """Literals that are lists of codes: those are definitions, with a source and an owner."""
    found = []
    for file in files:
        for node in ast.walk(file.tree()):
            if isinstance(node, ast.List | ast.Set | ast.Tuple):
                parts = node.elts
            elif isinstance(node, ast.Dict):
                parts = [key for key in node.keys if key is not None]
            else:
                continue
            strings = [p.value for p in parts if isinstance(p, ast.Constant)]
            for form, pattern in CODE_FORMS.items():
                codes = [s for s in strings if isinstance(s, str) and pattern.match(s)]
                if len(codes) > CODES_IN_CODE_MAX:
                    found.append(
                        f"{file.path}:{node.lineno}: {len(codes)} {form} codes in code: move them "
                        "to a file under quanmin/definitions with source, owner, version, effective"
                    )
    return found


def english_colons(files: Iterable[Source]) -> list[str]:
    """Colons of English before a value and semicolons between several, outside of what is
    translated.
    """
    return [
        f"{file.path}: {found[0].strip()!r}: write {{{{ colon }}}} or {{{{ semicolon }}}} instead"
        for file in files
        for found in _ENGLISH_COLON.finditer(_TRANSLATED.sub("@", file.text))
    ]


def test_no_path_of_one_machine_stands_in_the_tree() -> None:
    assert_clean(machine_places(sources(*TEXT)))


def test_no_registry_is_named() -> None:
    assert_clean(registries(sources(*TEXT)))


def test_nothing_speaks_of_how_it_was_written() -> None:
    assert_clean(makings(sources(*TEXT)))


def test_no_page_asks_a_third_party() -> None:
    assert_clean(fetched(sources(".html", ".css", ".js", under="quanmin/")))


def test_templates_part_names_from_what_is_said_of_them_as_the_language_does() -> None:
    assert_clean(english_colons(sources(".html", under="quanmin/")))
    assert english_colons([Source("a.html", "<li>{% trans %}Until{% endtrans %}: {{ day }}</li>")])
    assert english_colons([Source("a.html", "{{ name }}: <strong>{{ day }}</strong>")])
    assert english_colons([Source("a.html", "<b>{{ name }}</b>:\n  {{ day }}")])
    assert english_colons([Source("a.html", '<b>{{ names|join("; ") }}</b>')])
    assert not english_colons([Source("a.html", "{% trans %}Until: {{ day }}{% endtrans %}")])


def test_nothing_is_left_for_later_in_a_comment() -> None:
    assert_clean(unfinished(sources(".py", ".sql", ".html", ".css", ".js", ".sh")))


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    assert_clean(unargued(sources(".py")))


def test_no_code_list_stands_in_code() -> None:
    assert_clean(code_lists(sources(".py", under="quanmin/")))


def test_a_path_of_one_machine_is_noticed() -> None:
    assert machine_places([Source("a.md", "see /root/a")])
    assert machine_places([Source("a.py", 'open("/home/li/a")')])
    assert machine_places([Source("a.md", "docs/work/a and https://example.org/root/a")]) == []


def test_a_registry_is_noticed() -> None:
    assert registries([Source("a.lock", "--index-url https://pypi.org/simple")])
    assert registries([Source("a.md", "the registry of births")]) == []


def test_a_word_about_the_writing_is_noticed() -> None:
    assert makings([Source("a.md", "written by the house engineer")])
    assert makings([Source("a.md", "a hospital engineer reads the refusal")]) == []


def test_a_foreign_script_or_font_is_noticed() -> None:
    assert fetched([Source("a.html", '<script src="https://cdn.example/a.js"></script>')])
    assert fetched([Source("a.html", '<link rel="stylesheet" href="//cdn.example/a.css">')])
    assert fetched([Source("a.css", "@font-face { src: url(https://fonts.example/a.woff2) }")])
    assert fetched([Source("a.html", '<a href="https://example.org">more</a>')]) == []


def test_a_promise_in_a_comment_is_noticed() -> None:
    assert unfinished([Source("a.py", "# TODO: later")])


def test_a_silent_suppression_is_noticed() -> None:
    assert unargued([Source("a.py", "x = 1  # noqa\n")])
    assert unargued([Source("a.py", "x = 1  # noqa: E501\n")])
    assert unargued([Source("a.py", "x = 1  # type: ignore\n")])
    assert unargued([Source("a.py", "x = 1  # type: ignore[misc]\n")])
    assert unargued([Source("a.py", "x = 1  # noqa: S603 - a fixed command\n")]) == []
    assert unargued([Source("a.py", "x = 1  # type: ignore[misc]  # the stub is wrong\n")]) == []


def test_a_code_list_is_noticed() -> None:
    assert code_lists([Source("quanmin/a.py", 'X = {"A00", "A01", "B20", "A20"}')])
    assert code_lists([Source("quanmin/a.py", 'X = ("A00", "A01")')]) == []


def hidden_words(file: Source) -> Iterable[str]:
    """Words that are said within a formatted text: the catalogues are made without them."""
    texts = (node for node in ast.walk(file.tree()) if isinstance(node, ast.JoinedStr))
    for text in texts:
        for call in ast.walk(text):
            named = getattr(call, "func", None)
            if getattr(named, "attr", getattr(named, "id", "")) == "say":
                place = f"{file.path}:{text.lineno}"
                yield f"{place}: say it before the formatted text, or nobody translates it"


def test_no_words_hide_from_the_catalogues() -> None:
    assert_clean(one for file in sources(".py", under="quanmin/") for one in hidden_words(file))
    sample = Source("sample.py", 'a = f"{visit.say(\'Cards\')}: {n}"; b = f"{say(words)}"')
    assert len(list(hidden_words(sample))) == 2
