"""Values of a migration that differ from run to run, and how narrowly they may.

A generated id or a time of now would make each run another statement. Such a value may
be declared: one place in one statement, of one of three kinds. It must be a whole value
that INSERT or UPDATE writes; never part of an expression, nor of what decides which
rows are meant. Everything around it still counts by the byte. Pure.
Next: `proxy.migrations.statement`.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import structs

from proxy.errors import DENIED
from proxy.migrations.statement import (
    BindValue,
    Sent,
    StatementError,
    check_type,
    exact,
    hashed,
    value_form,
)
from proxy.sql.facts import Trouble
from proxy.sql.parse import TOO_COMPLEX, ParseTroubleError, parse, statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["uuid", "timestamp", "integer"]

FORMS: Final[dict[Kind, re.Pattern[bytes]]] = {
    "uuid": re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "timestamp": re.compile(
        rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d(?::?\d\d)?)?"
    ),
    "integer": re.compile(rb"\d{1,19}"),
}
"""What a value of each kind looks like as text: no letter that could end a literal."""
_PLAIN_UUID: Final = re.compile(rb"[0-9a-fA-F]{32}")
"""As Python's drivers write it, with a cast; without one it may be any checksum."""
BINARY: Final[dict[Kind, dict[int, int]]] = {
    "uuid": {2950: 16},
    "timestamp": {1114: 8, 1184: 8},
    "integer": {20: 8, 21: 2, 23: 4},
}
"""The same in binary: type (pg_type.dat) and number of bytes."""
_NEAR: Final = timedelta(days=1)
"""A time so near to the run may have been made by it; with a zone or without one."""
_BINARY_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Of timestamps in the binary format, in microseconds (timestamp.h)."""
_GENERATED: Final[tuple[Kind, ...]] = ("uuid", "timestamp")
_ZONE: Final = re.compile(r"([+-])(\d\d)(?::?(\d\d))?$")
_QUOTED: Final = re.compile(rb"'([^'\\]*)'(?!')")
_NUMBER: Final = re.compile(rb"(\d{1,19})(?![\w.])")


class Varying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value that may vary.

    Attributes:
        kind: what it must look like.
        place: "parameter" for $number, "literal" for the number-th constant that the
            statement writes; both count from 1.
        number: which.
    """

    kind: Kind
    place: Literal["literal", "parameter"]
    number: int


class _Literal(msgspec.Struct, frozen=True):
    start: int
    end: int
    content: bytes
    is_cast_to_uuid: bool = False

    def is_of(self, kind: Kind) -> bool:
        """Whether it looks like a value of this kind."""
        if FORMS[kind].fullmatch(self.content):
            return True
        is_uuid = kind == "uuid" and self.is_cast_to_uuid
        return is_uuid and _PLAIN_UUID.fullmatch(self.content) is not None


def template(sent: Sent, varying: tuple[Varying, ...]) -> str:
    """The SHA-256 of a statement with the kind in the place of each varying value.

    Raises:
        StatementError: a value is not of its kind, or may not vary where it is.
    """
    text = exact(sent.text)
    literals, parameters = _written(text)
    # Of two words on one place the first counts.
    kinds = {(each.place, each.number): each.kind for each in reversed(varying)}
    parts, position = [], 0
    for number, literal in enumerate(literals, 1):
        kind = kinds.get(("literal", number))
        if kind is None:
            continue
        if not literal.is_of(kind):
            raise _refused(f"constant {number} is no {kind}")
        parts += [b"text", text[position : literal.start], b"varies", kind.encode()]
        position = literal.end
    parts += [b"text", text[position:]]
    values = []
    for number, value in enumerate(sent.values, 1):
        kind = kinds.get(("parameter", number))
        if kind is None:
            values.append(value_form(value, number))
            continue
        check_type(value, number)
        if not _is_of(kind, value.data, value.format, value.type_oid):
            raise _refused(f"parameter ${number} is no {kind}")
        values.append(f"varies {kind} {value.type_oid} {value.format}".encode())
    allowed = {("literal", number + 1) for number in range(len(literals))}
    allowed |= {("parameter", number) for number in parameters}
    for each in varying:
        if (each.place, each.number) not in allowed:
            raise _refused(f"{each.place} {each.number} is not a value that it writes")
    return hashed(parts, values)


def varying_between(first: Sent, second: Sent) -> tuple[Varying, ...]:
    """What varies between two runs of one statement; () where nothing does.

    Raises:
        StatementError: they differ in something that may not vary.
    """
    found = [*_literals_between(first, second), *_values_between(first, second)]
    made = tuple(found)
    if template(first, made) != template(second, made):
        raise _refused("two runs differ in more than a uuid, a timestamp or an integer")
    return made


def suspected(sent: Sent, now: datetime) -> tuple[Varying, ...]:
    """Values that look as if this run had made them up; () where that can't be told.

    From one run nobody knows. So it is said of any uuid, which may as well name a row
    that is there, and of a time near this one; never of a number, which is mostly
    meant. It lets nothing vary until a person has said so (`proof.Approval`).

    Args:
        sent: the statement as it ran.
        now: when, an aware time.
    """
    try:
        literals, parameters = _written(exact(sent.text))
        found = [
            Varying(kind, "literal", number)
            for number, literal in enumerate(literals, 1)
            if (kind := _literal_suspicion(literal, now)) is not None
        ]
        found += [
            Varying(kind, "parameter", number)
            for number, value in enumerate(sent.values, 1)
            if number in parameters and (kind := _suspicion(value, now)) is not None
        ]
        made = tuple(found)
        template(sent, made)
    except StatementError:
        return ()
    return made


def _literal_suspicion(literal: _Literal, now: datetime) -> Kind | None:
    if literal.is_of("uuid"):
        return "uuid"
    return _suspicion(BindValue(literal.content), now)


def _suspicion(value: BindValue, now: datetime) -> Kind | None:
    if value.data is None:
        return None
    for kind in _GENERATED:
        if _is_of(kind, value.data, value.format, value.type_oid):
            at = _moment(value) if kind == "timestamp" else now
            return kind if at is not None and abs(at - now) <= _NEAR else None
    return None


def _moment(value: BindValue) -> datetime | None:
    """The time that a value says, as if it were of UTC where it names no zone."""
    data = value.data or b""
    try:
        if value.format:
            since = int.from_bytes(data, signed=True)
            return _BINARY_EPOCH + timedelta(microseconds=since)
        return _from_text(data.decode())
    except (ValueError, OverflowError):
        return None  # the 31st of February, or infinity


def _from_text(text: str) -> datetime:
    """As `FORMS` has it; to the second."""
    clock, zone = text[:19], _ZONE.search(text[19:])
    at = datetime.fromisoformat(clock).replace(tzinfo=UTC)
    if zone is None:
        return at
    sign, hours, minutes = zone[1], int(zone[2]), int(zone[3] or 0)
    ahead = timedelta(hours=hours, minutes=minutes)
    return at + ahead if sign == "-" else at - ahead


def told(text: str, varying: Iterable[Varying]) -> list[str]:
    """Each value in words for who has to say whether it may vary.

    Args:
        text: the statement as a proof shows it: shortened, without secrets. What can't
            be found in it is told by its number.
        varying: the values.
    """
    try:
        literals, _ = _written(exact(text.encode()))
    except StatementError:
        literals = []
    words = []
    for each in varying:
        place = f"${each.number}"
        if each.place == "literal":
            place = f"constant {each.number}"
            here = literals[each.number - 1 : each.number]
            if here and here[0].is_of(each.kind):
                place += f", '{here[0].content.decode()}'"
        words.append(f"a {each.kind}: {place}")
    return words


def _literals_between(first: Sent, second: Sent) -> Iterator[Varying]:
    ours, _ = _written(exact(first.text))
    theirs, _ = _written(exact(second.text))
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one.content == other.content:
            continue
        for kind in FORMS:
            if one.is_of(kind) and other.is_of(kind):
                yield Varying(kind, "literal", number)


def _values_between(first: Sent, second: Sent) -> Iterator[Varying]:
    pairs = zip(first.values, second.values, strict=False)
    for number, (one, other) in enumerate(pairs, 1):
        if one == other:
            continue
        for kind in FORMS:
            if all(_is_of(kind, v.data, v.format, v.type_oid) for v in (one, other)):
                yield Varying(kind, "parameter", number)
                break


def _is_of(kind: Kind, data: bytes | None, form: int, type_oid: int) -> bool:
    if data is None:
        return False
    if form == 0:
        is_plain = kind == "uuid" and type_oid in BINARY["uuid"]
        return FORMS[kind].fullmatch(data) is not None or (
            is_plain and _PLAIN_UUID.fullmatch(data) is not None
        )
    return BINARY[kind].get(type_oid) == len(data)


def _written(text: bytes) -> tuple[list[_Literal], set[int]]:
    """The constants and parameters that a statement writes as they are."""
    try:
        found = statements(parse(text.decode()))
    except ParseTroubleError as error:
        raise StatementError(error.trouble) from None
    except RecursionError:
        raise StatementError(TOO_COMPLEX) from None
    if len(found) != 1:
        raise _refused("it is not one statement")
    tree = found[0]["stmt"]
    literals, direct = [], []
    for value in _values(tree):
        inner = value["TypeCast"]["arg"] if "TypeCast" in value else value
        if "A_Const" in inner:
            literal = _literal(text, inner["A_Const"])
            if literal is not None:
                is_uuid = _is_cast_to_uuid(value)
                literals.append(structs.replace(literal, is_cast_to_uuid=is_uuid))
        elif "ParamRef" in inner:
            direct.append(inner["ParamRef"].get("number", 0))
    literals.sort(key=lambda each: each.start)
    # One that is used elsewhere as well may decide what is changed.
    written, everywhere = Counter(direct), Counter(_parameters(tree))
    return literals, {each for each in direct if written[each] == everywhere[each]}


def _values(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What an INSERT ... VALUES or an UPDATE ... SET writes."""
    if "InsertStmt" in tree:
        select = tree["InsertStmt"].get("selectStmt", {}).get("SelectStmt", {})
        for row in select.get("valuesLists", ()):
            yield from row["List"].get("items", ())
    elif "UpdateStmt" in tree:
        for target in tree["UpdateStmt"].get("targetList", ()):
            yield target["ResTarget"].get("val", {})


def _is_cast_to_uuid(value: dict[str, Any]) -> bool:
    names = value.get("TypeCast", {}).get("typeName", {}).get("names", ())
    said = [each.get("String", {}).get("sval") for each in names]
    return said in (["uuid"], ["pg_catalog", "uuid"])


def _literal(text: bytes, const: dict[str, Any]) -> _Literal | None:
    start = const.get("location", 0)
    if "sval" in const:
        match, said = _QUOTED.match(text, start), const["sval"].get("sval", "")
    elif "ival" in const:
        match, said = _NUMBER.match(text, start), str(const["ival"].get("ival", 0))
    elif "fval" in const:  # a whole number beyond 32 bits, too
        match, said = _NUMBER.match(text, start), const["fval"]["fval"]
    else:
        return None
    # Two literals on two lines are one value: then this is not all of it.
    if match is None or match[1] != said.encode():
        return None
    return _Literal(match.start(1), match.end(1), match[1])


def _parameters(tree: Any) -> Iterator[int]:  # noqa: ANN401 - JSON
    """The number of each `$n` in a tree, as often as it is there."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if "ParamRef" in node:
                yield node["ParamRef"].get("number", 0)
            waiting += node.values()


def _refused(why: str) -> StatementError:
    return StatementError(Trouble(DENIED, why))
