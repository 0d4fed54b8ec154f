"""What the words of a rule's reach mean for one asker: each is a set of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import msgspec

from quanmin.records.keying import Keying
from quanmin.records.sensitivity import Kind, load_kinds
from quanmin.records.simplifying import both, either, without
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Granted,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    OfSender,
    OfType,
    Visibility,
)
from quanmin.trust.deciding.bounds import ADDRESSED
from quanmin.trust.deciding.grantees import Grantees, Meaning
from quanmin.trust.deciding.in_use import InUse
from quanmin.trust.deciding.levels import label_levels, load_levels
from quanmin.trust.directory import directory
from quanmin.trust.registers.definitions import institution_rule

BREAK_GLASS: Final = "BTG"
_DUTY: Final = "PUBHLTH"
_CACHE: Final = 4096


class Asking(msgspec.Struct, frozen=True):
    """Who asks, what for, and when (microseconds). `actor` is the account, `sender` the number of
    the institution it acts for, `patients` the Patients that are the asker or in their care,
    `region` the institutions of the region that the asker answers for, `registers` the senders
    whose records of certain types are entries of the registers, `addresses` the codes of the
    asker's institution. `granted` says to which of the numbers that `grantees` gave anything is
    granted at all; None for unknown. `reached` is what was found out on the way.
    """

    actor: str
    role: str
    purpose: str
    sender: int
    patients: frozenset[int]
    region: frozenset[int]
    at: int
    granted: InUse | None = None
    registers: frozenset[int] = frozenset()
    addresses: frozenset[str] = frozenset()
    reached: dict[str, Visibility] = msgspec.field(default_factory=dict)


_Numbers = tuple[frozenset[int], frozenset[int]]
"""Under which something stands of whole records, and of parts."""

_NONE: Final[_Numbers] = (frozenset(), frozenset())


class _Words(msgspec.Struct, frozen=True):
    """What may be said, by kind. A refusal of all is one of each kind too."""

    permit: dict[str, _Numbers]
    refuse: dict[str, _Numbers]
    onward: dict[str, _Numbers]
    no_onward: dict[str, _Numbers]
    withdraw: _Numbers


class Reaching:
    """The sets of one node."""

    def __init__(self, keying: Keying) -> None:
        self._grantees = Grantees(keying)
        self._words = lru_cache(_CACHE)(self._words_of)
        self._label = keying.label
        kinds = load_kinds()
        self._strict = {
            kind.label.code: frozenset({self._key(kind)}) for kind in kinds if kind.is_strict
        }
        self._of_no_kind = without(Labelled(frozenset().union(*self._strict.values())))
        self._reportable = frozenset(self._key(kind) for kind in kinds if kind.is_reportable)
        self._leveled = label_levels(keying)
        self._beyond: dict[int, Visibility] = {}
        self._by_name: dict[str, Callable[[Asking], Visibility]] = {
            "everything": lambda _: Everything(),
            "own": lambda asking: OfSender(frozenset({asking.sender})),
            "about-asker": lambda asking: OfPatient(asking.patients),
            "directory": lambda _: _DIRECTORY,
            "registers": _registers,
            "treated": self._treated,
            "consented": self._consented,
            "refused": self._refused,
            "sensitive": self._sensitive,
            "beyond-level": self._beyond_level,
            "reportable": self._of_duty,
            "region": _of_region,
            "glass-opened": self._opened,
            "onward": self._onward,
            "addressed": self._addressed,
        }

    def reach(self, atom: str, asking: Asking) -> Visibility:
        """The records that a word means for this asker; found out once, since several rules ask."""
        found = asking.reached.get(atom)
        if found is None:
            found = asking.reached[atom] = self._by_name[atom](asking)
        return found

    def strict_codes(self, labels: frozenset[int]) -> tuple[str, ...]:
        """The kinds kept apart of which a record with these labels is."""
        return tuple(code for code, keys in self._strict.items() if not keys.isdisjoint(labels))

    def labelled(self, labels: Iterable[str]) -> Visibility:
        """Records with one of these labels, written system|code."""
        parted = (label.rpartition("|") for label in labels)
        return Labelled(frozenset(self._label(system, code) for system, _, code in parted))

    def level_of(self, labels: frozenset[int]) -> int:
        """The level of a record with these labels, but for kinds that only a consent opens."""
        levels = [of for key, of in self._leveled.items() if key in labels]
        return max(levels, default=load_levels().unlabelled)

    def level_for(self, asking: Asking) -> int:
        """The level up to which an asker sees for a purpose."""
        return load_levels().seen_up_to(asking.role, asking.purpose)

    def meanings(self, asking: Asking) -> dict[int, Meaning]:
        """What is granted by the numbers that may concern an asker for a purpose."""
        kinds = ("", *self._strict)
        found = self._grantees.meanings(asking.sender, asking.purpose, kinds)
        found[self._grantees.treating(asking.sender)] = Meaning("treats")
        found[self._grantees.glass(asking.actor)] = Meaning("glass")
        return found

    def _key(self, kind: Kind) -> int:
        return self._label(kind.label.system, kind.label.code)

    def grantees(self, actor: str, sender: int, purpose: str) -> tuple[int, ...]:
        """The numbers under which something may be granted to an asker for a purpose, but for those
        about parts of a record, of which the marks tell whether they need be asked about.
        """
        grantees, of = self._grantees, (sender, purpose)
        found = {grantees.treating(sender), *grantees.all("withdraw", *of), *grantees.marks(sender)}
        for code in ("", *self._strict):
            found |= grantees.all("permit", *of, code) | grantees.all("refuse", *of, code)
        if purpose == BREAK_GLASS:
            found.add(grantees.glass(actor))
        return tuple(sorted(found))

    def parts(self, sender: int, purpose: str, granted: InUse) -> tuple[int, ...]:
        """The numbers of grants about parts of a record, if there can be any."""
        if granted.numbers.isdisjoint(self._grantees.marks(sender)):
            return ()
        words = [("withdraw", "")]
        words += [(word, code) for word in ("permit", "refuse") for code in ("", *self._strict)]
        return tuple(sorted(self._grantees.several(tuple(words), sender, purpose, is_part=True)))

    def onward_grantees(self, sender: int, purpose: str) -> tuple[int, ...]:
        """The numbers under which a person may have permitted or refused passing on."""
        kinds = ("", *self._strict)
        words = tuple((word, kind) for word in ("onward", "no onward") for kind in kinds)
        return tuple(sorted(self._grantees.several(words, sender, purpose)))

    def _onward(self, asking: Asking) -> Visibility:
        """What the person lets be passed on: of a kind that is kept apart only by a consent that
        names it, of several each.
        """
        words = self._words(asking.sender, asking.purpose)

        def said(kind: str) -> Visibility:
            return self._said(asking, words.onward[kind], words.no_onward[kind])

        every = frozenset[int]().union(*self._strict.values())
        unnamed = (
            both((Labelled(keys), without(said(kind)))) for kind, keys in self._strict.items()
        )
        permitted = either((both((self._of_no_kind, said(""))), Labelled(every)))
        return both((permitted, *map(without, unnamed)))

    def _granted(
        self, asking: Asking, numbers: frozenset[int], lifted: frozenset[int] = frozenset()
    ) -> Visibility:
        """Records to which one of the numbers has a grant; the database need not be asked about a
        number to which nothing is granted.
        """
        is_wide = True
        if asking.granted is not None:
            numbers &= asking.granted.numbers
            lifted &= asking.granted.numbers
            is_wide = not numbers.isdisjoint(asking.granted.wide)
        return Granted(numbers, asking.at, lifted, None, is_wide) if numbers else Nothing()

    def _said(self, asking: Asking, said: _Numbers, lifting: _Numbers) -> Visibility:
        """Records of which a person has said something that nothing later lifts."""
        in_use = asking.granted
        if in_use is None:
            (whole, parts), (lifts, parts_lifting) = said, lifting
        else:
            known = in_use.numbers
            if known.isdisjoint(self._grantees.marks(asking.sender)):
                return self._granted(asking, said[0], lifting[0])
            whole, lifts, parts, parts_lifting = said[0], lifting[0], said[1] & known, lifting[1]
            parts_lifting &= known
            if not parts and not parts_lifting:
                return self._granted(asking, whole, lifts)
            whole, lifts = whole & known, lifts & known
            if not whole and not parts:
                return Nothing()
        marks = self._grantees.marks(asking.sender)
        return Granted(
            whole, asking.at, lifts, parts=parts, parts_lifting=parts_lifting, marks=marks
        )

    def _words_of(self, sender: int, purpose: str) -> _Words:
        """The numbers of all that may be said to an institution for a purpose, by kind."""

        def named(*words: tuple[str, str]) -> _Numbers:
            several = self._grantees.several
            whole = several(words, sender, purpose)
            return whole, several(words, sender, purpose, is_part=True)

        kinds = ("", *self._strict)
        return _Words(
            {kind: named(("permit", kind)) for kind in kinds},
            {kind: named(("refuse", ""), ("refuse", kind)) for kind in kinds},
            {kind: named(("onward", kind)) for kind in kinds},
            {kind: named(("no onward", kind)) for kind in kinds},
            named(("withdraw", "")),
        )

    def _treated(self, asking: Asking) -> Visibility:
        return self._granted(asking, frozenset({self._grantees.treating(asking.sender)}))

    def _consented(self, asking: Asking) -> Visibility:
        """By a consent to all, or by one that names a kind to the records of that kind."""
        permitted = self._words(asking.sender, asking.purpose).permit
        whole = self._said(asking, permitted[""], _NONE)
        kinds = [
            both((Labelled(keys), self._said(asking, permitted[code], _NONE)))
            for code, keys in self._strict.items()
        ]
        return either((whole, *kinds))

    def _refused(self, asking: Asking) -> Visibility:
        """Closed altogether or for a kind that the record is of, and not opened later; or opened
        once by a consent that was taken back, and by none that stands.

        Only a consent that names a kind lifts a refusal for the records of that kind, so each kind
        is asked by itself, where anything is said of it, and what is of none is asked apart.
        """
        words = self._words(asking.sender, asking.purpose)
        bare = self._said(asking, words.refuse[""], _NONE)
        whole = self._said(asking, words.refuse[""], words.permit[""])
        unnamed: frozenset[int] = frozenset()
        closed: list[Visibility] = []
        for code, keys in self._strict.items():
            part = self._said(asking, words.refuse[code], words.permit[code])
            if part == bare:
                unnamed |= keys
            else:
                closed.append(both((Labelled(keys), part)))
        if whole == bare and not closed:
            closed.append(bare)
        else:
            closed.append(both((self._of_no_kind, whole)))
            closed.append(both((Labelled(unnamed), bare)) if unnamed else Nothing())
        withdrawn = self._said(asking, words.withdraw, _NONE)
        if not isinstance(withdrawn, Nothing):
            closed.append(both((withdrawn, without(self.reach("consented", asking)))))
        return either(closed)

    def _sensitive(self, asking: Asking) -> Visibility:
        """Of a kind that is kept apart, without a consent that names the kind; of several, each
        must be named.
        """
        permitted = self._words(asking.sender, asking.purpose).permit
        unnamed: frozenset[int] = frozenset()
        parts: list[Visibility] = []
        for code, keys in self._strict.items():
            named = self._said(asking, permitted[code], _NONE)
            if isinstance(named, Nothing):
                unnamed |= keys
            else:
                parts.append(Both((Labelled(keys), Except(named))))
        return either([*([Labelled(unnamed)] if unnamed else []), *parts])

    def _beyond_level(self, asking: Asking) -> Visibility:
        level = self.level_for(asking)
        return self._beyond[level] if level in self._beyond else self._beyond_of(level)

    def _beyond_of(self, level: int) -> Visibility:
        above = frozenset(key for key, of in self._leveled.items() if of > level)
        within = frozenset(key for key, of in self._leveled.items() if of <= level)
        parts: list[Visibility] = [Labelled(above)] if above else []
        if load_levels().unlabelled > level:
            parts.append(Except(Labelled(within)))
        found: Visibility = Both((Except(OfNobody()), Either(tuple(parts)))) if parts else Nothing()
        self._beyond[level] = found
        return found

    def _of_duty(self, asking: Asking) -> Visibility:
        if asking.purpose != _DUTY or asking.role != "public_health_worker":
            return Nothing()
        # A report that is handed over to another area is as much of its centre's duty: what the law
        # has reported, no refusal and no want of a consent keeps from who must process it.
        ours = either((_of_region(asking), self.reach("addressed", asking)))
        return both((Labelled(self._reportable), ours))

    def _addressed(self, asking: Asking) -> Visibility:
        keys = frozenset(self._label(ADDRESSED, code) for code in asking.addresses)
        return Labelled(keys) if keys else Nothing()

    def _opened(self, asking: Asking) -> Visibility:
        if asking.purpose != BREAK_GLASS:
            return Nothing()
        return self._granted(asking, frozenset({self._grantees.glass(asking.actor)}))


def _of_region(asking: Asking) -> Visibility:
    """What institutions of the asker's region have sent: its division with those below it."""
    return OfSender(asking.region) if asking.region else Nothing()


def _registers(asking: Asking) -> Visibility:
    kept = OfType(institution_rule().register.types)
    return Both((OfSender(asking.registers), kept)) if asking.registers else Nothing()


_DIRECTORY: Final = OfType(frozenset(directory()))
