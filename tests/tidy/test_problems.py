"""What goes wrong can be said in every language of the pages: its text is a whole sentence of the
sources, or a `Sentence` with its values apart, and so has its place in the catalogues.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from build_translations import BENEATH, PROBLEMS
from tidy.tree import Source, assert_clean, sources

SAID_ON_PAGES = tuple(f"quanmin/{name}/" for name in (*BENEATH, "web", "applications"))
ADVICE = "say it as Sentence('... %(name)s ...', name=...), so that it can be translated"


def put_together(files: Iterable[Source]) -> list[str]:
    """Problems and sentences whose text is made in place, so that no catalogue has it."""
    return [
        f"{file.path}:{text.lineno}: {ast.unparse(text)[:60]}: {ADVICE}"
        for file in files
        for text in texts(file.tree())
        if isinstance(text, ast.JoinedStr | ast.BinOp)
        or (isinstance(text, ast.Call) and ast.unparse(text.func).endswith((".format", ".join")))
    ]


def texts(tree: ast.Module) -> Iterator[ast.expr]:
    """What each problem of a file says, and each sentence; of a name all that is put into it."""
    put: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            put.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        place = 2 if name == "Issue" else 0
        if name in {"Issue", "Sentence", *PROBLEMS} and len(node.args) > place:
            text = node.args[place]
            yield from put.get(text.id, []) if isinstance(text, ast.Name) else [text]


def test_every_problem_that_a_page_may_tell_is_in_the_catalogues() -> None:
    found = [one for one in sources(".py") if one.path.startswith(SAID_ON_PAGES)]
    assert_clean(put_together(found))


def test_a_text_that_is_made_in_place_is_noticed() -> None:
    def noticed(line: str) -> bool:
        return bool(put_together([Source("quanmin/web/sample.py", line)]))

    assert noticed('raise Invalid(f"at most {most} letters")')
    assert noticed('raise Conflict("at most %s letters" % most)')
    assert noticed('Issue("error", "value", f"line {n}: {text}", place)')
    assert noticed('Issue("error", "value", "; ".join(texts))')
    assert noticed('text = f"at most {most} letters"\nraise Invalid(text)')
    assert noticed('Sentence(f"at most {most} letters")')
    assert not noticed('raise Invalid(Sentence("at most %(most)s letters", most=most))')
    assert not noticed('raise Invalid("say why")')
    assert not noticed('raise Unusable(f"{file}: no such file")')
