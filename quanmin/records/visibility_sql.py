"""The two readings of a Visibility: as SQL over rows for sets, in Python over Facts for one record.

A property test holds them equal. The SQL binds every value and needs no join.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from quanmin.fhir.table import load_table
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Grant,
    Granted,
    Having,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    OfSender,
    OfType,
    Since,
    Visibility,
)

Bind = Callable[[object], str]
"""Takes a value into the statement's arguments and gives its placeholder."""


def visibility_sql(visibility: Visibility, bind: Bind, alias: str) -> str:
    """A condition on a row `alias` of `records.record` or `records.history`: true where visible.

    It may be null instead of false; a caller that negates it must not.
    """
    return _Writer(bind, alias).write(visibility, is_strict=False)


def of_patients(alias: str, patients: Collection[int], bind: Bind) -> str:
    """The row is of one of these patients.

    One alone is compared by =, which leaves the index by (patient, time) its order.
    """
    if len(patients) == 1:
        return f"{alias}.patient = {bind(next(iter(patients)))}::bigint"
    return f"{alias}.patient = any({bind(sorted(patients))}::bigint[])"


def mentions_grants(visibility: Visibility) -> bool:
    """Whether `Facts.grants` must be filled to decide this."""
    match visibility:
        case Granted():
            return True
        case Both(parts) | Either(parts):
            return any(mentions_grants(part) for part in parts)
        case Except(part):
            return mentions_grants(part)
        case _:
            return False


def having_in(visibility: Visibility) -> tuple[Having, ...]:
    """For what `Facts.keys` and `Facts.codes` must be filled to decide this."""
    match visibility:
        case Having():
            return (visibility,)
        case Both(parts) | Either(parts):
            return tuple(one for part in parts for one in having_in(part))
        case Except(part):
            return having_in(part)
        case _:
            return ()


def allows(visibility: Visibility, facts: Facts) -> bool:  # noqa: C901, PLR0911 - an arm a kind
    """Whether a record with these facts is visible."""
    match visibility:
        case Everything():
            return True
        case Nothing():
            return False
        case OfSender(senders):
            return facts.sender in senders
        case OfPatient(patients):
            return facts.patient in patients
        case OfNobody():
            return facts.patient is None
        case OfType(types):
            return facts.type in types
        case Labelled(labels):
            return not labels.isdisjoint(facts.labels)
        case Having():
            return visibility.type == facts.type and _has(visibility, facts)
        case Since(low):
            return facts.time is not None and facts.time >= low
        case Granted():
            return facts.patient is not None and _is_granted(visibility, facts)
        case Both(parts):
            return all(allows(part, facts) for part in parts)
        case Either(parts):
            return any(allows(part, facts) for part in parts)
        case Except(part):
            return not allows(part, facts)


def _has(having: Having, facts: Facts) -> bool:
    return not having.keys.isdisjoint(facts.keys) or any(
        key == mine and system in {None, its}
        for key, system in having.codes
        for mine, its in facts.codes
    )


def _is_granted(granted: Granted, facts: Facts) -> bool:
    """Whether a grant is about the record at the moment asked about, and is not lifted."""
    is_marked = any(one.grantee in granted.marks for one in facts.grants)
    counting = granted.grantees | granted.parts if is_marked else granted.grantees
    lifting = granted.lifted_by | granted.parts_lifting if is_marked else granted.lifted_by
    of_type = {None, facts.type if granted.type is None else granted.type}
    held = [
        one for one in facts.grants if one.since <= granted.at < one.until and one.type in of_type
    ]
    lifted = max(
        (
            one.rank
            for one in held
            if one.grantee in lifting and _is_about(one, facts, _opposite(granted.unread))
        ),
        default=None,
    )
    return any(
        one.grantee in counting
        and (lifted is None or one.rank >= lifted)
        and _is_about(one, facts, granted.unread)
        for one in held
    )


_Unread = bool | None


def _opposite(unread: _Unread) -> _Unread:
    return None if unread is None else not unread


def _is_about(grant: Grant, facts: Facts, unread: _Unread) -> bool:
    if grant.rids is not None and facts.rid not in grant.rids:
        return False
    if grant.span is not None and (
        facts.time is None or not grant.span[0] <= facts.time < grant.span[1]
    ):
        return False
    if grant.codes is None:
        return True
    if unread is not None:
        return unread
    return any(
        key in facts.keys or any(key == mine and system in {None, its} for mine, its in facts.codes)
        for key, system in grant.codes
    )


class _Writer:
    def __init__(self, bind: Bind, alias: str) -> None:
        self._bind = bind
        self._alias = alias

    def write(self, visibility: Visibility, *, is_strict: bool) -> str:
        """`is_strict`: below a negation, where null would become a record that is shown."""
        match visibility:
            case Everything():
                return "true"
            case Nothing():
                return "false"
            case Both(parts):
                return self._join("and", parts, "true", is_strict=is_strict)
            case Either(parts):
                return self._join("or", parts, "false", is_strict=is_strict)
            case Except(part):
                return f"not {self.write(part, is_strict=True)}"
            case OfNobody():
                return f"{self._alias}.patient is null"
            case Having():
                return self._having(visibility)
            case _:
                column, condition = self._atom(visibility)
                if is_strict and column not in {"sender", "type"}:
                    return f"({self._alias}.{column} is not null and {condition})"
                return condition

    def _having(self, having: Having) -> str:
        """Never null. A code is looked for by one probe of its index: key, moment, record."""
        alias, bind = self._alias, self._bind
        ways = []
        if having.keys:
            ways.append(f"{alias}.tokens && {bind(sorted(having.keys))}::bigint[]")
        for key, system in sorted(having.codes, key=str):
            of_row = (
                f"select from records.keyed s where s.key = {bind(key)}::bigint"
                f" and s.rid = {alias}.rid"
            )
            if system is not None:
                of_row += f" and s.system = {bind(system)}::int"
            ways.append(
                f"(case when {alias}.low is null then exists ({of_row} and s.low is null)"
                f" else exists ({of_row} and s.low = {alias}.low) end)"
            )
        of_type = f"{alias}.type = any({bind(_numbers(frozenset({having.type})))}::smallint[])"
        return f"({of_type} and ({' or '.join(ways) or 'false'}) is true)"

    def _atom(self, visibility: Visibility) -> tuple[str, str]:
        alias, bind = self._alias, self._bind
        match visibility:
            case OfSender(senders) if len(senders) == 1:
                # One alone by =, which leaves its index the order.
                return "sender", f"{alias}.sender = {bind(min(senders))}::int"
            case OfSender(senders):
                return "sender", f"{alias}.sender = any({bind(sorted(senders))}::int[])"
            case OfPatient(patients):
                return "patient", of_patients(alias, patients, bind)
            case OfType(types):
                return "type", f"{alias}.type = any({bind(_numbers(types))}::smallint[])"
            case Labelled(labels):
                return "labels", f"{alias}.labels && {bind(sorted(labels))}::bigint[]"
            case Since(low):
                return "low", f"{alias}.low >= {bind(low)}::bigint"
            case Granted():
                return "patient", self._granted(visibility)
            case _:
                message = f"no SQL is known for {type(visibility).__name__}"
                raise TypeError(message)

    def _granted(self, granted: Granted) -> str:
        whole = self._of_whole(granted) if granted.grantees else "false"
        if not granted.parts and not granted.parts_lifting:
            return whole
        alias, bind = self._alias, self._bind
        marked = _is_there(
            f"records.granted m where m.patient = {alias}.patient"
            f" and m.grantee = any({bind(sorted(granted.marks))}::bigint[])"
        )
        of_row = self._of_row(granted)
        if granted.lifted_by or granted.parts_lifting:
            return f"(case when {marked} then {of_row} else {whole} end)"
        return f"({whole} or ({marked} and {of_row}))"

    def _of_row(self, granted: Granted) -> str:
        """Asked of each row alone, for the few Patients with grants about a part of the records."""
        alias = self._alias
        rows = self._chosen("g", granted.grantees | granted.parts, granted.at)
        text = f"{rows} and g.patient = {alias}.patient and {self._of_type('g', granted)}"
        text += f" and {self._about('g', granted.unread)}"
        lifting = granted.lifted_by | granted.parts_lifting
        if lifting:
            lifts = self._chosen("l", lifting, granted.at)
            text += (
                f" and not exists (select from {lifts} and l.patient = g.patient"
                f" and l.rank > g.rank and {self._of_type('l', granted)}"
                f" and {self._about('l', _opposite(granted.unread))})"
            )
        return f"exists (select from {text})"

    def _of_type(self, name: str, granted: Granted) -> str:
        if granted.type is None:
            return f"{name}.type in (0, {self._alias}.type)"
        types = sorted({0, *_numbers(frozenset({granted.type}))})
        return f"{name}.type = any({self._bind(types)}::smallint[])"

    def _about(self, name: str, unread: _Unread) -> str:
        """The grant is about the row, if it is about its Patient and type."""
        alias = self._alias
        of_code = (
            f"select from unnest({name}.keys, {name}.systems) w (key, system)"
            f" join records.keyed s on s.key = w.key and s.rid = {alias}.rid"
            f" where (w.system is null or w.system = s.system)"
        )
        coded = (
            f"{alias}.tokens && {name}.keys or (case when {alias}.low is null"
            f" then exists ({of_code} and s.low is null)"
            f" else exists ({of_code} and s.low = {alias}.low) end)"
        )
        if unread is not None:
            coded = str(unread).lower()
        return (
            f"({name}.low is null"
            f" or ({alias}.low >= {name}.low and {alias}.low < {name}.high) is true)"
            f" and ({name}.rids is null or {alias}.rid = any({name}.rids))"
            f" and ({name}.keys is null or ({coded}) is true)"
        )

    def _of_whole(self, granted: Granted) -> str:
        """By grants about all records of a Patient, or all of a type."""
        alias = self._alias
        chosen = self._chosen("g", granted.grantees, granted.at)
        if granted.type is not None:
            chosen += f" and {self._of_type('g', granted)}"
            lifts = self._lifts(granted, None)
            return self._among(f"{chosen}{lifts}", granted)
        lifts = self._lifts(granted, "l.type = 0")
        whole = self._among(f"{chosen} and g.type = 0{lifts}", granted)
        if granted.lifted_by:
            lifted = self._chosen("l", granted.lifted_by, granted.at)
            of_row = f"l.patient = {alias}.patient and l.type = {alias}.type and l.type <> 0"
            closed = _is_there(
                f"{lifted} and {of_row}"
                f" and not exists (select from {chosen} and g.patient = l.patient and g.type = 0"
                " and g.rank >= l.rank)"
            )
            whole = f"({whole} and not {closed})"
        lifts = self._lifts(granted, "l.type in (0, g.type)")
        of_row = f"g.patient = {alias}.patient and g.type = {alias}.type and g.type <> 0"
        return f"({whole} or {_is_there(f'{chosen} and {of_row}{lifts}')})"

    def _lifts(self, granted: Granted, of_type: str | None) -> str:
        if not granted.lifted_by:
            return ""
        of_type = of_type or self._of_type("l", granted)
        lifting = (
            f"exists (select from {self._chosen('l', granted.lifted_by, granted.at)}"
            f" and l.patient = g.patient and l.rank > g.rank and {of_type})"
        )
        # Of few each is asked: to plan a join takes longer than that, in every statement.
        return f" and not {lifting}" if granted.is_wide else f" and ({lifting}) is not true"

    def _chosen(self, name: str, numbers: frozenset[int], moment: int) -> str:
        at = f"{self._bind(moment)}::bigint"
        return (
            f"records.granted {name} where"
            f" {name}.grantee = any({self._bind(sorted(numbers))}::bigint[])"
            f" and {name}.since <= {at} and {name}.until > {at}"
        )

    def _among(self, chosen: str, granted: Granted) -> str:
        """Few are fetched by the index on patients, beside what else is asked for; of many each
        row is looked for.
        """
        if granted.is_wide:
            return _is_there(f"{chosen} and g.patient = {self._alias}.patient")
        return f"{self._alias}.patient = any(array(select g.patient from {chosen}))"

    def _join(
        self, word: str, parts: tuple[Visibility, ...], empty: str, *, is_strict: bool
    ) -> str:
        if not parts:
            return empty
        written = (self.write(part, is_strict=is_strict) for part in parts)
        return "(" + f" {word} ".join(written) + ")"


def _is_there(rows: str) -> str:
    """Of an `exists` the planner keeps two forms, a probe of the index for each row and a hash of
    all, and takes for each place the one that costs less there. `in` is always a hash, made anew
    in the planner's reckoning for each row of a join, so that it would rather read the whole table.
    `is true` keeps it from joining what is asked, which would lose the order that is asked for.
    """
    return f"((exists (select from {rows})) is true)"


def _numbers(types: frozenset[str]) -> list[int]:
    known = load_table().types
    return sorted(known[type_].number for type_ in types if type_ in known)
