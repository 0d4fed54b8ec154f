"""What an application is.

One typed value in one folder, found by the kernel, wired nowhere else.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from quanmin.trust import Desk, Role
from quanmin.trust.deciding import Bounds
from quanmin.trust.lifecycle.declared_activities import DeclaredActivity, declared_activity
from quanmin.trust.notices import kinds_in
from quanmin.web.made import Made
from quanmin.web.route import Access, Page, checked
from quanmin.web.sections import OTHER, section_codes
from quanmin.web.text import Text
from quanmin.web.work import WorkFunction
from quanmin.workflow.plans import Declared, load_plans
from quanmin.workflow.states import FILE, Workflow, load_workflow

Level = Literal["county", "city", "province", "nation"]

RULES: Final = "definitions/access.toml"
"""Where an application has the rules of access that it brings."""


class Front(msgspec.Struct, frozen=True):
    """A template that stands on the first page of some roles."""

    template: str
    roles: frozenset[Role]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The whole declaration of an application; the kit wires, limits and lists it from here.

    `reads` and `writes` are resource types, and they are limits: the records handed to the pages
    refuse every other type. `desks` are those of trust that its pages ask, a limit as well.
    `purpose` is the purpose of use (HL7 v3 PurposeOfUse) under which its reading is logged; others
    that its pages may state stand in `may_state`. `section` is its field of work
    (`definitions/sections.toml`). `home` is the path of the page that its entry in the menu leads
    to, "": it has none; `menu_roles` are those in whose menu it is, None: all of `roles`. The menu
    has it only for whom that page is open. `work` tells what waits for a visitor, `front` is what
    it has on the first page. `makes` are files that take longer than a page may. `workflow` is what
    its folder's workflow.toml says, `plans` those of its definitions/plans.toml: `discover` puts
    them in.
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
    section: str = OTHER
    home: str = ""
    pages: tuple[Page, ...]
    menu_roles: frozenset[Role] | None = None
    workflow: Workflow | None = None
    plans: tuple[Declared, ...] = ()
    work: WorkFunction | None = None
    front: Front | None = None
    makes: tuple[Made, ...] = ()

    @property
    def in_menu_of(self) -> frozenset[Role]:
        """The roles whose menu has it."""
        return self.roles if self.menu_roles is None else self.menu_roles

    @property
    def home_access(self) -> Access | None:
        """To whom the page of its entry in the menu is open; None without one."""
        return next((page.access for page in self.pages if page.path == self.home), None)


class Installed(msgspec.Struct, frozen=True):
    """An application, the folder it was found in, the rules of access that it brings, as they are
    written there (None without any), and of which entry of the processing register it is part; None
    only for one that no folder declares.
    """

    application: Application
    folder: Path
    rules: Bounds | None = None
    activity: DeclaredActivity | None = None


def discover(package: str = "quanmin.applications") -> tuple[Installed, ...]:
    """Every application in the folders of a package, by name: adding a folder adds one.

    Raises TypeError, naming the folder, when one has no `application.APPLICATION` or declares what
    it may not; Unusable when its workflow, its plans or its entry of the processing register have
    faults.
    """
    return _discovered(package, tuple(importlib.import_module(package).__path__))


@cache  # a process asks several times, and what stands in the folders holds until the next start
def _discovered(package: str, folders: tuple[str, ...]) -> tuple[Installed, ...]:
    found = [
        _installed(f"{package}.{entry.name}", entry.name)
        for entry in pkgutil.iter_modules(folders)
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
    if application.section not in section_codes():
        message = f"{module_name}: there is no section {application.section} in sections.toml"
        raise TypeError(message)
    if application.home and application.home_access is None:
        message = f"{module_name}: {application.home} is none of its pages, so nobody gets there"
        raise TypeError(message)
    folder = Path(str(module.__file__)).parent
    if (folder / FILE).is_file():
        application = msgspec.structs.replace(
            application, workflow=_workflow(application, folder, module_name)
        )
    kinds = kinds_in(folder, application.name)
    plans = load_plans(folder, application.name, reads=application.reads, kinds=kinds)
    if plans:
        application = msgspec.structs.replace(application, plans=plans)
    activity = declared_activity(folder, application.name)
    return Installed(application, folder, _rules(application, folder), activity)


def _rules(application: Application, folder: Path) -> Bounds | None:
    file, workflow = folder / RULES, application.workflow
    if not file.is_file():
        return None
    return Bounds(
        application=application.name,
        place=f"{folder.name}/{RULES}",
        text=file.read_bytes(),
        roles=frozenset(application.roles),
        purposes=application.may_state | {application.purpose},
        reads=application.reads,
        writes=application.writes,
        label="" if workflow is None else workflow.label,
    )


def _workflow(application: Application, folder: Path, module_name: str) -> Workflow:
    has_rules = (folder / "rules.py").is_file()
    return load_workflow(
        folder,
        roles=frozenset(application.roles),
        writes=application.writes,
        rules=importlib.import_module(f"{module_name}.rules") if has_rules else None,
    )
