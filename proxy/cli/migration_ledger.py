"""`pgwarden migration list|show|approve|revoke`: the ledger, and words on its proofs.

Next: `proxy.migrations.standing`, which says what a proof is worth.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.audit.tail import printable
from proxy.cli import migration_options as options
from proxy.cli.migration_show import as_json, ledger_table, open_words, show_proof
from proxy.cli.migration_way_back import (
    NoWayBack,
    PlanFile,
    ScriptOnly,
    show_script,
    show_ways_back,
    with_way_back,
)
from proxy.cli.output import output
from proxy.cli.roster import by as changed_by
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.configured import signing_key_of, trust_of
from proxy.migrations.proof import Approval, Revocation, sign_approval
from proxy.migrations.standing import State, standing
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.migrations.proof import Proof
    from proxy.migrations.standing import Entry, Trust
    from proxy.store.engine import Store
    from proxy.store_settings import StoreSettings


def list_(
    *,
    database: Annotated[
        str, typer.Option("--database", metavar="NAME", help="Good for this one here.")
    ] = "",
    state: Annotated[
        State | None, typer.Option("--state", help="Only those in this state.")
    ] = None,
    is_json: options.Json = False,
    config: options.Config,
) -> None:
    """List the proofs in the ledger, the newest last, and what each is worth now.

    Example: pgwarden migration list --state approved
    """
    settings, section = options.settings_of(config)
    trust, now = trust_of(section), datetime.now(UTC)
    known, problems = entries(options.ledger_of(settings))
    rows = [(each, standing(each, trust, now)) for each in known]
    if state is not None:
        rows = [row for row in rows if row[1].state is state]
    if database:
        rows = [row for row in rows if database in row[1].serves]
    if is_json:
        listed = [as_json(*row) for row in rows]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        output().print(ledger_table(rows))
        for entry, _ in rows:
            for line in open_words(entry):
                name = entry.signed.id[: ledger.SHOWN_ID]
                typer.echo(printable(f"{name} used {line}"))
    for problem in problems:
        typer.echo(problem, err=True)


def show(
    proof: options.ProofId,
    *,
    is_script: ScriptOnly = False,
    is_json: options.Json = False,
    config: options.Config,
) -> None:
    """Show one proof: what ran, what it changed, and what is against it.

    To take a migration back that is applied, as a role that may:
    psql -c "$(pgwarden migration show 3f9a12 --way-back)"
    """
    settings, section = options.settings_of(config)
    entry = found(options.ledger_of(settings), proof)
    its = standing(entry, trust_of(section), datetime.now(UTC))
    if is_script:
        show_script(entry, its)
    elif is_json:
        whole = as_json(entry, its, is_whole=True)
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        show_proof(entry, its)


def approve(
    proof: options.ProofId,
    *,
    varying: Annotated[
        list[str] | None,
        typer.Option(
            "--varying",
            metavar="NUMBER",
            help="Let the values that look made up differ in this statement, as `show` "
            'numbers them; "all" for each that has some. Repeatable.',
        ),
    ] = None,
    way_back: PlanFile = None,
    is_no_way_back: NoWayBack = False,
    note: options.Note = "",
    by: options.By = "",
    is_yes: options.Yes = False,
    config: options.Config,
) -> None:
    """Say yes to a proof, after having seen it; signed, so that production believes it.

    Needs the signing key. Whoever ran the migration can't approve it, and one person
    counts once. A value that a run makes up, an id or the time of now, is another one
    in the next run: --varying lets it differ, if as many say so as a proof needs.
    --way-back signs how it is taken back, out of a plan that was tried.

    Examples: pgwarden migration approve 3f9a12 --by "$GITHUB_ACTOR" --yes; pgwarden
    migration approve 3f9a12 --varying 3; pgwarden migration approve 3f9a12 --way-back
    plan.json
    """
    settings, section = options.settings_of(config)
    store, trust = options.ledger_of(settings), trust_of(section)
    key = signing_key_of(section)
    entry, now = found(store, proof), datetime.now(UTC)
    who = by or changed_by("", "").actor
    said = _believed(entry, trust, now)
    if who == said.identity:
        raise ConfigError(f'"{who}" ran this migration, and can\'t approve it')
    numbers = _varying(said, varying or ())
    its = standing(entry, trust, now)
    yes = Approval(
        proof=entry.signed.id,
        by=who,
        environment=section.environment,
        at=now,
        note=note,
        varying=numbers,
    )
    yes = with_way_back(yes, its, plan=way_back, is_none=is_no_way_back)
    show_proof(entry, its)
    for line in _widening(said, numbers):
        output().print(line)
    show_ways_back([yes])
    confirm("approve this proof?", is_yes=is_yes)
    signed = sign_approval(yes, key)
    change = changed_by(
        "migration.approve",
        entry.signed.id,
        person=who,
        migration=said.name,
        note=note,
        varying=", ".join(map(str, numbers)),
        way_back=yes.way_back,
    )

    async def work(opened: Store) -> Entry:
        async with opened.changing(change) as connection:
            await ledger.add(connection, signed)
            return await ledger.find(connection, entry.signed.id)

    its = standing(ask_now(store, work), trust, now)
    output().print(f"{entry.signed.id[: ledger.SHOWN_ID]} is {its.state}")
    for reason in its.reasons:
        output().print(f"  {reason}")
    lacking = sorted(set(numbers) - its.varying)
    if lacking and its.counts:
        output().print(
            f"  {_statements(lacking)} may not vary yet: too few who approve say so"
        )


def revoke(
    proof: options.ProofId,
    *,
    note: options.Note = "",
    by: options.By = "",
    config: options.Config,
) -> None:
    """Take a proof's worth, for good. Needs no key, so it works in production, too.

    It counts in the ledger where it was said; `export` takes it elsewhere.
    """
    settings, _ = options.settings_of(config)
    store = options.ledger_of(settings)
    entry = found(store, proof)
    who = by or changed_by("", "").actor
    revocation = Revocation(
        proof=entry.signed.id, by=who, at=datetime.now(UTC), note=note
    )
    change = changed_by("migration.revoke", entry.signed.id, person=who, note=note)

    async def work(opened: Store) -> None:
        async with opened.changing(change) as connection:
            await ledger.add(connection, ledger.unsigned_revocation(revocation))

    ask_now(store, work)
    output().print(f"{entry.signed.id[: ledger.SHOWN_ID]} is {State.REVOKED}")


def confirm(question: str, *, is_yes: bool) -> None:
    """Ask a person.

    Raises:
        ConfigError: there is none, or the answer is no.
    """
    if is_yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "nobody is there to say yes", hint="--yes, if a script means it"
        )
    if not typer.confirm(question):
        raise ConfigError("nothing was done")


def _varying(proof: Proof, asked: Sequence[str]) -> tuple[int, ...]:
    """The numbers of statements that `--varying` names.

    Raises:
        ConfigError: one that is no number, or of a statement without suspicion.
    """
    able = _suspected(proof)
    numbers: set[int] = set()
    for each in asked:
        if each == "all":
            numbers.update(able)
        elif each.isascii() and each.isdigit() and int(each) in able:
            numbers.add(int(each))
        else:
            known = ", ".join(map(str, able)) or "none"
            raise ConfigError(
                f'--varying: no value of statement "{each:.20}" looks made up by the '
                f"run, so none may vary; one does in: {known}",
                hint="pgwarden migration show numbers the statements",
            )
    return tuple(sorted(numbers))


def _suspected(proof: Proof) -> list[int]:
    return [n for n, each in enumerate(proof.statements, 1) if each.suspected]


def _widening(proof: Proof, numbers: tuple[int, ...]) -> Iterator[str]:
    """What somebody says yes to besides, or will wonder about in production."""
    if numbers:
        yield f"you let the values that look made up differ in {_statements(numbers)}"
    strict = [each for each in _suspected(proof) if each not in numbers]
    if strict:
        options_ = " ".join(f"--varying {each}" for each in strict)
        yield (
            f"{_statements(strict)} will be let pass by the byte only: if a value is "
            f"made up anew in each run, production refuses it; to let it differ: "
            f"{options_}"
        )


def _statements(numbers: Sequence[int]) -> str:
    word = "statement" if len(numbers) == 1 else "statements"
    return f"{word} {', '.join(map(str, numbers))}"


def _believed(entry: Entry, trust: Trust, now: datetime) -> Proof:
    its = standing(entry, trust, now)
    if its.proof is None or its.state in {
        State.UNTRUSTED,
        State.REVOKED,
        State.EXPIRED,
    }:
        raise ConfigError(
            f"this proof is {its.state}: {'; '.join(its.reasons)}",
            hint="record the migration anew on staging",
        )
    return its.proof


def found(store: StoreSettings, prefix: str) -> Entry:
    """The one proof whose id begins so.

    Raises:
        ConfigError: there is none, or several.
        StoreUnavailable: the store is down.
    """

    async def work(opened: Store) -> Entry:
        async with opened.reading() as connection:
            return await ledger.find(connection, prefix)

    return ask_now(store, work)


def entries(store: StoreSettings) -> tuple[list[Entry], list[str]]:
    """All proofs, and a line for each row of the ledger that can't be read.

    Raises:
        StoreUnavailable: the store is down.
    """

    async def work(opened: Store) -> tuple[list[Entry], list[str]]:
        async with opened.reading() as connection:
            return await ledger.entries(connection)

    return ask_now(store, work)
