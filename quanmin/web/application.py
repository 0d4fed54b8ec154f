"""What an application is.

One typed value in one folder, found by the kernel, wired nowhere else.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Literal

import msgspec

from quanmin.trust import Desk, Role
from quanmin.web.route import Page, checked
from quanmin.web.text import Text
from quanmin.workflow.states import FILE, Workflow, load_workflow

Level = Literal["county", "city", "province", "nation"]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The whole declaration of an application; the kit wires, limits and lists it from here.

    `reads` and `writes` are resource types, and they are limits: the records handed to the pages
    refuse every other type. `desks` are those of trust that its pages ask, a limit as well.
    `purpose` is the purpose of use (HL7 v3 PurposeOfUse) under which its reading is logged; others
    that its pages may state stand in `may_state`. `home` is the path its entry in the menu leads
    to; `menu_roles` are those in whose menu it is, None: all of `roles`. `workflow` is what its
    folder's workflow.toml says: `discover` puts it in.
    """

    name: str
    title: Text
    summary: Text
    levels: frozenset[Level]
    roles: frozenset[Role]
    reads: frozenset[str]
    writes: frozenset[str] = frozenset()
    desks: frozenset[type[Desk]] = frozenset()
    purpose: str = "TREAT"
    may_state: frozenset[str] = frozenset()
    home: str = "/"
    pages: tuple[Page, ...]
    menu_roles: frozenset[Role] | None = None
    workflow: Workflow | None = None

    @property
    def in_menu_of(self) -> frozenset[Role]:
        """The roles whose menu has it."""
        return self.roles if self.menu_roles is None else self.menu_roles


class Installed(msgspec.Struct, frozen=True):
    """An application and the folder it was found in."""

    application: Application
    folder: Path


def discover(package: str = "quanmin.applications") -> tuple[Installed, ...]:
    """Every application in the folders of a package, by name: adding a folder adds one.

    Raises TypeError, naming the folder, when one has no `application.APPLICATION` or declares what
    it may not; Unusable when its workflow has faults.
    """
    root = importlib.import_module(package)
    found = [
        _installed(f"{package}.{entry.name}", entry.name)
        for entry in pkgutil.iter_modules(root.__path__)
        if entry.ispkg
    ]
    return tuple(sorted(found, key=lambda installed: installed.application.name))


def _installed(module_name: str, folder_name: str) -> Installed:
    module = importlib.import_module(f"{module_name}.application")
    application = getattr(module, "APPLICATION", None)
    if not isinstance(application, Application):
        message = f"{module_name}.application must hold an Application named APPLICATION"
        raise TypeError(message)
    if application.name != folder_name:
        message = f"{module_name} calls itself {application.name}; the folder's name is its name"
        raise TypeError(message)
    for page in checked(application.pages, module_name):
        if page.access.roles is None or not page.access.roles <= application.roles:
            message = f"{module_name}: {page.path} admits roles that the application does not have"
            raise TypeError(message)
    folder = Path(str(module.__file__)).parent
    if (folder / FILE).is_file():
        application = msgspec.structs.replace(
            application, workflow=_workflow(application, folder, module_name)
        )
    return Installed(application, folder)


def _workflow(application: Application, folder: Path, module_name: str) -> Workflow:
    has_rules = (folder / "rules.py").is_file()
    return load_workflow(
        folder,
        roles=frozenset(application.roles),
        writes=application.writes,
        rules=importlib.import_module(f"{module_name}.rules") if has_rules else None,
    )
