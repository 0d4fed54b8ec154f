"""For which names an authority may certify (RFC 5280 4.2.1.10): name constraints, and whether the
names of a certificate keep within them.

Constraints are applied to each form of name apart. Where a form is constrained that this program
cannot compare, a certificate with a name of that form is refused, as the RFC has it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

_DIRECTORY: Final = "directory_name"
_EMAIL: Final = "rfc822_name"


class Name(msgspec.Struct, frozen=True):
    """One name, or the top of a subtree of names. `parts` are those of a directory's name, each in
    the form in which it is compared; of other forms it is one text.
    """

    form: str
    parts: tuple[str, ...]


class Limits(msgspec.Struct, frozen=True):
    """What an authority below may certify: nothing that is excluded, and of the forms that are
    permitted at all only what is. `is_readable` is whether this program can say.
    """

    permitted: tuple[Name, ...]
    excluded: tuple[Name, ...]
    is_readable: bool

    def allow(self, names: Iterable[Name]) -> bool:
        """Whether all these names keep within."""
        try:
            return self.is_readable and all(map(self._allow, names))
        except ValueError:
            return False

    def _allow(self, name: Name) -> bool:
        permitted = [each.parts for each in self.permitted if each.form == name.form]
        excluded = [each.parts for each in self.excluded if each.form == name.form]
        lies_within = _COMPARED.get(name.form)
        if lies_within is None:
            return not (permitted or excluded)
        if any(lies_within(name.parts, each) for each in excluded):
            return False
        return not permitted or any(lies_within(name.parts, each) for each in permitted)


def read_limits(extension: Any) -> Limits | None:
    """The constraints in a certificate, None without any."""
    if extension is None:
        return None
    parsed = extension["extn_value"].parsed
    sides = [list(parsed[side] or ()) for side in ("permitted_subtrees", "excluded_subtrees")]
    permitted, excluded = (tuple(read_name(tree["base"]) for tree in side) for side in sides)
    # Nobody uses the distances, and they are not to be used (RFC 5280 4.2.1.10).
    is_readable = all(
        tree["minimum"].native == 0 and tree["maximum"].native is None
        for side in sides
        for tree in side
    )
    return Limits(permitted, excluded, is_readable)


def read_names(subject: Any, alternative: Any) -> tuple[Name, ...]:
    """The names that a certificate gives its subject: its own, those beside it, and addresses of
    mail in its own where there are none beside it.
    """
    names = [read_name(each) for each in alternative or ()]
    if len(subject.chosen):
        names.append(Name(_DIRECTORY, _parts(subject)))
    if not any(each.form == _EMAIL for each in names):
        names += (
            Name(_EMAIL, (str(attribute["value"].native),))
            for part in subject.chosen
            for attribute in part
            if attribute["type"].native == "email_address"
        )
    return tuple(names)


def read_name(general: Any) -> Name:
    """A GeneralName."""
    if general.name == _DIRECTORY:
        return Name(general.name, _parts(general.chosen))
    if general.name in _COMPARED:
        return Name(general.name, (str(general.native),))
    return Name(general.name, ())


def _parts(name: Any) -> tuple[str, ...]:
    return tuple(str(part.hashable) for part in name.chosen)


# ---- whether a name lies in a subtree, form by form; ValueError where nobody can say -------------


def _is_below(name: tuple[str, ...], top: tuple[str, ...]) -> bool:
    return name[: len(top)] == top


def _is_host(name: tuple[str, ...], top: tuple[str, ...]) -> bool:
    """A host itself, and all below it."""
    host, domain = name[0].casefold().rstrip("."), top[0].casefold().strip(".")
    return not domain or host == domain or host.endswith(f".{domain}")


def _is_mailbox(name: tuple[str, ...], top: tuple[str, ...]) -> bool:
    """A mailbox, all of a host, or with a dot in front all of the hosts below a domain."""
    local, _, host = name[0].rpartition("@")
    within = top[0].casefold()
    if "@" in within:
        wanted, _, domain = top[0].rpartition("@")
        return (local, host.casefold()) == (wanted, domain.casefold())
    return _is_named(host.casefold(), within)


def _is_at(name: tuple[str, ...], top: tuple[str, ...]) -> bool:
    """The host of an address. Raises ValueError for one without."""
    host = urlsplit(name[0]).hostname
    if not host:
        raise ValueError("an address without a host")
    return _is_named(host.casefold(), top[0].casefold())


def _is_named(host: str, within: str) -> bool:
    if within.startswith("."):
        return host.endswith(within)
    return not within or host == within


def _is_in_network(name: tuple[str, ...], top: tuple[str, ...]) -> bool:
    address, network = ipaddress.ip_address(name[0]), ipaddress.ip_network(top[0], strict=False)
    return address in network


_COMPARED: Final[dict[str, Callable[[tuple[str, ...], tuple[str, ...]], bool]]] = {
    _DIRECTORY: _is_below,
    "dns_name": _is_host,
    _EMAIL: _is_mailbox,
    "uniform_resource_identifier": _is_at,
    "ip_address": _is_in_network,
}
