"""The commands of the ledger, on two pgwardens that share nothing but a file."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from proxy.cli.migration import migration_app
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.keys import read_keys, read_private
from proxy.migrations.proof import Usage, Used, proven_statement, sign_proof
from proxy.migrations.statement import Sent
from proxy.server.store_now import ask_now
from proxy.settings import load_settings
from proxy.shipped import policy_path
from proxy.store.engine import StoreUnavailable
from tests.unit.migrations.made import AFTER, BEFORE, proof
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from proxy.store.engine import Store

RUN = CliRunner()
SETTINGS = """\
listen: [127.0.0.1:0]
policy: {policy}
audit: {{folder: audit}}
store: {{url: 'sqlite:///store.db'}}
upstream:
  host: localhost
  logins: {{reader: {{user: r}}, migrator: {{user: m}}}}
migrations: {migrations}
"""
STAGING = "{environment: staging, keys: keys.yaml, signing_key: staging.key}"
PRODUCTION = (
    "{environment: production, keys: ../staging/keys.yaml, "
    "accept: [{environment: staging, database: shop}]}"
)
HOUR = timedelta(hours=1)


@dataclass
class Place:
    """A folder with settings, and the commands run on it."""

    folder: Path
    migrations: str

    def __post_init__(self) -> None:
        self.folder.mkdir()
        text = SETTINGS.format(
            policy=policy_path("production"), migrations=self.migrations
        )
        self.config.write_text(text)

    @property
    def config(self) -> Path:
        return self.folder / "pgwarden.yaml"

    def run(self, *arguments: str) -> Result:
        return RUN.invoke(migration_app, [*arguments, "--config", str(self.config)])

    def ok(self, *arguments: str) -> str:
        ran = self.run(*arguments)
        assert ran.exit_code == 0, (ran.output, ran.exception)
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def wrong(self, *arguments: str) -> ConfigError:
        error = self.run(*arguments).exception
        assert isinstance(error, ConfigError), error
        return error

    def record(self, **changed: Any) -> str:
        """As the recorder does; the proof's id."""
        key = read_private(self.folder / "staging.key")
        now = datetime.now(UTC)
        times = {
            "started_at": now,
            "recorded_at": now,
            "expires_at": now + 30 * 24 * HOUR,
        }
        signed = sign_proof(proof(**{**times, **changed}), key)
        settings = load_settings(self.config, {}).store
        assert settings is not None

        async def work(store: Store) -> None:
            async with store.changing() as connection:
                await ledger.add(connection, signed)
                for each in (BEFORE, AFTER):
                    await ledger.add_snapshot(connection, each)

        ask_now(settings, work)
        return signed.id

    def states(self) -> dict[str, str]:
        return {each["id"]: each["state"] for each in self.json("list")}


@pytest.fixture
def staging(tmp_path: Path) -> Place:
    made = Place(tmp_path / "staging", STAGING)
    made.ok("keys", "new")
    return made


@pytest.fixture
def production(staging: Place) -> Place:
    return Place(staging.folder.parent / "production", PRODUCTION)


def test_from_staging_to_production_as_a_file(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    proven = staging.record()
    assert staging.states() == {proven: "recorded"}
    said = staging.ok("approve", proven[:8], "--by", "ana", "--yes")
    assert "parameter 1 may be any uuid" in said
    assert staging.states() == {proven: "approved"}
    file = tmp_path / "shop.ledger"
    staging.ok("export", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert production.json("list") == []
    first = production.json("import", str(file))
    assert (first["new"], first["known"], first["schemas"]) == (2, 0, 2)
    again = production.json("import", str(file))
    assert (again["new"], again["known"]) == (0, 2)
    (listed,) = production.json("list")
    assert listed["id"] == proven
    assert listed["state"] == "approved"
    assert listed["serves"] == ["shop"]
    assert listed["proof"]["name"] == "20261101_add"
    assert [each["by"] for each in listed["approvals"]] == ["ana"]
    assert production.json("verify") == {"documents": 2, "problems": []}
    assert production.json("verify", str(file))["problems"] == []


def test_every_change_of_the_file_is_refused_and_nothing_taken_over(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    staging.record()
    file = tmp_path / "shop.ledger"
    staging.ok("export", str(file))
    good = file.read_bytes()
    for place in range(0, len(good), 211):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert "nothing was taken over" in production.wrong("import", str(file)).message
        assert production.run("verify", str(file)).exit_code == 1
    assert production.json("list") == []
    file.write_bytes(good.replace(b"CREATE TABLE t", b"CREATE TABLE u"))
    message = production.wrong("import", str(file)).message
    assert "line 2, proof " in message
    assert 'field "statements" was changed' in message


def test_another_databases_proof_is_not_taken_over(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    staging.record(database="crm")
    staging.ok("export", str(tmp_path / "crm.ledger"))
    error = production.wrong("import", str(tmp_path / "crm.ledger"))
    assert 'database "crm" of staging' in error.message
    assert production.json("list") == []


def test_whoever_ran_it_can_t_approve_it(staging: Place) -> None:
    proven = staging.record()
    error = staging.wrong("approve", proven, "--by", "deploy", "--yes")
    assert "can't approve" in error.message


def test_approving_asks(staging: Place) -> None:
    proven = staging.record()
    assert "--yes" in staging.wrong("approve", proven, "--by", "ana").hint
    assert staging.states() == {proven: "recorded"}


def test_what_is_not_believed_can_t_be_approved(staging: Place) -> None:
    now = datetime.now(UTC)
    expired = staging.record(expires_at=now - HOUR)
    ahead = staging.record(recorded_at=now + HOUR)
    for each in (expired, ahead):
        error = staging.wrong("approve", each, "--by", "ana", "--yes")
        assert "record the migration anew" in error.hint


def test_production_revokes_without_a_key(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    proven = staging.record()
    staging.ok("approve", proven, "--by", "ana", "--yes")
    staging.ok("export", str(tmp_path / "ledger"), proven[:6])
    production.ok("import", str(tmp_path / "ledger"))
    production.ok("revoke", proven[:6], "--note", "not today")
    assert production.states() == {proven: "revoked"}
    # The file is as it was, and brings nothing back.
    production.ok("import", str(tmp_path / "ledger"))
    assert production.states() == {proven: "revoked"}
    for command in (("approve", proven, "--by", "bea", "--yes"), ("export", "x")):
        assert "no signing key here" in production.wrong(*command).message


def test_keys_are_rotated_and_distrusted(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    proven = staging.record()
    staging.ok("approve", proven, "--by", "ana", "--yes")
    staging.ok("export", str(tmp_path / "ledger"))
    production.ok("import", str(tmp_path / "ledger"))
    (old,) = staging.json("keys", "list")
    staging.ok("keys", "new", str(staging.folder / "next.key"), "--days", "30")
    assert len(staging.json("keys", "list")) == 2
    staging.ok("keys", "retire", old["id"])
    assert production.states() == {proven: "approved"}
    late = staging.record(recorded_at=datetime.now(UTC) + timedelta(seconds=2))
    assert staging.states()[late] == "untrusted"
    staging.ok("keys", "retire", old["id"], "--distrust")
    assert production.states() == {proven: "untrusted"}
    assert production.run("verify").exit_code == 1
    states = {each["id"]: each["state"] for each in staging.json("keys", "list")}
    assert sorted(states.values()) == ["distrusted", "valid"]


def test_a_private_key_is_shown_nowhere(staging: Place) -> None:
    made = staging.run("keys", "new", str(staging.folder / "more.key"))
    listed = staging.run("keys", "list")
    pem = (staging.folder / "more.key").read_text().splitlines()[1]
    document = (staging.folder / "keys.yaml").read_text()
    assert pem not in made.output + listed.output + document
    assert read_private(staging.folder / "more.key").id in made.output
    error = staging.wrong("keys", "new")
    assert "is there already" in error.message
    assert len(read_keys(staging.folder / "keys.yaml").keys) == 2
    error = staging.wrong("keys", "new", str(staging.folder / "x"), "--use", "rule")
    assert "neither record nor approve" in error.message
    assert not (staging.folder / "x").exists()


def _tamper(place: Place, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(place.folder / "store.db")) as store:
        for table in ("proofs", "schema_snapshots"):
            for event in ("update", "delete"):
                store.execute(f"DROP TRIGGER IF EXISTS {table}_no_{event}")
        store.execute(statement, values)
        store.commit()


def test_who_writes_the_store_makes_no_proof(staging: Place) -> None:
    """Its rows are found out, whichever column or byte was changed."""
    proven = staging.record()
    staging.ok("approve", proven, "--by", "ana", "--yes")
    with closing(sqlite3.connect(staging.folder / "store.db")) as store:
        ((body,),) = store.execute("SELECT body FROM proofs WHERE kind = 'proof'")
    for changed in (
        body.replace(b"CREATE TABLE t", b"DROP TABLE uu"),
        body.replace(b'"expires_at":"20', b'"expires_at":"30'),
        body[:-9],
        b"",
        body.replace(b'"digests":{', b'"digests":{"x":"y",'),
    ):
        assert changed != body
        _tamper(staging, "UPDATE proofs SET body = ? WHERE kind = 'proof'", changed)
        assert "approved" not in staging.states().values()
        verified = staging.run("verify")
        assert verified.exit_code == 1, changed
    _tamper(staging, "UPDATE proofs SET body = ? WHERE kind = 'proof'", body)
    assert staging.states() == {proven: "approved"}
    _tamper(staging, "UPDATE proofs SET about = 'x' WHERE kind = 'approval'")
    assert staging.states() == {proven: "recorded"}


def test_a_broken_revocation_still_revokes(staging: Place) -> None:
    proven = staging.record()
    staging.ok("approve", proven, "--by", "ana", "--yes")
    staging.ok("revoke", proven)
    _tamper(staging, "UPDATE proofs SET body = '{' WHERE kind = 'revocation'")
    assert staging.states() == {proven: "revoked"}


def test_a_changed_schema_is_found(staging: Place) -> None:
    staging.record()
    _tamper(
        staging,
        "UPDATE schema_snapshots SET body = (SELECT min(body) FROM schema_snapshots)",
    )
    assert "it is not what it was" in staging.run("verify").stdout


IDS = ("123e4567-e89b-12d3-a456-426614174000", "223e4567-e89b-12d3-a456-426614174000")
ADD = "INSERT INTO t (id, note) VALUES ('{}', $1)"


def _made_up(place: Place) -> str:
    """A proof of a table, and a row with an id that the run made up."""
    now = datetime.now(UTC)
    texts = ("CREATE TABLE t (id uuid, note text)", ADD.format(IDS[0]))
    statements = tuple(
        proven_statement(Sent(text.encode()), now, message=number)
        for number, text in enumerate(texts, 1)
    )
    return place.record(statements=statements)


def test_a_value_that_looks_made_up_varies_by_a_persons_word(staging: Place) -> None:
    proven = _made_up(staging)
    shown = staging.ok("show", proven)
    assert f"must be the same by the byte, so far: a uuid: constant 1, '{IDS[0]}'" in (
        shown
    )
    said = staging.ok("approve", proven, "--by", "ana", "--yes")
    assert "statement 2 will be let pass by the byte only" in _plain(said)
    assert "--varying 2" in _plain(said)
    assert staging.json("show", proven)["varying"] == []
    said = staging.ok("approve", proven, "--by", "ana", "--varying", "2", "--yes")
    assert "differ in statement 2" in _plain(said)
    assert "by the byte only" not in _plain(said)
    assert staging.json("show", proven)["varying"] == [2]
    shown = staging.ok("show", proven)
    assert "looks made up by the run, may differ: a uuid" in shown
    assert ", may vary: 2" in shown


def test_all_that_looks_made_up_may_vary(staging: Place) -> None:
    proven = _made_up(staging)
    staging.ok("approve", proven, "--by", "ana", "--varying", "all", "--yes")
    (yes,) = staging.json("show", proven)["approvals"]
    assert yes["varying"] == [2]


@pytest.mark.parametrize("number", ["1", "3", "0", "-2", "x", "²", "2,2", ""])
def test_what_looks_made_up_nowhere_can_t_vary(staging: Place, number: str) -> None:
    proven = _made_up(staging)
    error = staging.wrong(
        "approve", proven, "--by", "ana", f"--varying={number}", "--yes"
    )
    assert "one does in: 2" in error.message
    assert staging.states() == {proven: "recorded"}


def test_one_of_two_lets_nothing_vary(staging: Place) -> None:
    text = staging.config.read_text()
    staging.config.write_text(
        text.replace("staging.key}", "staging.key, approvals: 2}")
    )
    proven = _made_up(staging)
    staging.ok("approve", proven, "--by", "ana", "--yes")
    said = staging.ok("approve", proven, "--by", "bea", "--varying", "all", "--yes")
    assert "is approved" in said
    assert "statement 2 may not vary yet" in said
    assert staging.json("show", proven)["varying"] == []


def _plain(text: str) -> str:
    return " ".join(text.split())


def _use(place: Place, proven: str, step: Used, run: str = "r1") -> None:
    """As the gate does."""
    word = Usage(
        proof=proven,
        database="shop",
        run=run,
        step=step,
        identity="m",
        at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    )
    settings = load_settings(place.config, {}).store
    assert settings is not None

    async def work(store: Store) -> None:
        async with store.changing() as connection:
            await ledger.add_usage(connection, word)

    ask_now(settings, work)


def test_a_run_without_an_end_is_settled(staging: Place) -> None:
    proven = staging.record()
    name = proven[:12]
    _use(staging, proven, Used.BEGUN)
    known = 'in "shop": begun 2026-11-20T12:00:00+00:00 by m, no end seen'
    advice = f"pgwarden migration settle {name} shop --committed or --rolled-back"
    assert f"{name} used {known}: {advice}" in staging.ok("list")
    assert known in _plain(staging.ok("show", proven))
    assert staging.json("show", proven)["open_in"] == ["shop"]
    said = staging.ok(
        "settle", name, "shop", "--rolled-back", "--by", "ana", "--note", "killed",
        "--yes",
    )  # fmt: skip
    assert f"proof {name} {known}" in said
    assert "may be used once more" in _plain(said)
    assert "no end seen" not in staging.ok("list")
    assert "ana said so: killed" in _plain(staging.ok("show", proven))
    (begun, end) = staging.json("show", proven)["uses"]
    assert (begun["settled_by"], end["settled_by"], end["step"]) == (
        "",
        "ana",
        "rolled back",
    )
    assert staging.json("verify")["problems"] == []
    # It may run again, and that run be settled, too.
    _use(staging, proven, Used.BEGUN, "r2")
    staging.ok("settle", name, "shop", "--committed", "--by", "ana", "--yes")
    with pytest.raises(ConfigError, match="was used"):
        _use(staging, proven, Used.BEGUN, "r3")


def test_production_settles_without_a_key(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    proven = staging.record()
    staging.ok("export", str(tmp_path / "ledger"))
    production.ok("import", str(tmp_path / "ledger"))
    _use(production, proven, Used.BEGUN)
    production.ok("settle", proven, "shop", "--committed", "--yes")
    assert production.json("show", proven)["open_in"] == []


def test_what_can_t_be_settled(staging: Place) -> None:
    proven = staging.record()
    command = ("settle", proven, "shop")
    assert "waits for a word" in staging.wrong(*command, "--committed").message
    _use(staging, proven, Used.BEGUN)
    assert "how the run ended" in staging.wrong(*command).message
    both = staging.wrong(*command, "--committed", "--rolled-back", "--yes")
    assert "how the run ended" in both.message
    other = staging.wrong("settle", proven, "crm", "--rolled-back", "--yes")
    assert "one does in shop" in other.message
    assert "nobody is there" in staging.wrong(*command, "--rolled-back").message
    assert staging.json("show", proven)["open_in"] == ["shop"]
    _use(staging, proven, Used.COMMITTED)
    ended = staging.wrong(*command, "--rolled-back", "--yes")
    assert "waits for a word" in ended.message


def test_a_check_of_files_asks_the_ledger(staging: Place, tmp_path: Path) -> None:
    lay(tmp_path, {"1_a/migration.sql": "CREATE TABLE a (id uuid);\n"})
    lay(tmp_path, {"2_b/migration.sql": "CREATE TABLE b (id uuid);\n"})
    text = (tmp_path / "1_a" / "migration.sql").read_bytes()
    piece = proven_statement(Sent(text), datetime.now(UTC), message=1)
    proven = staging.record(
        name="1_a", checksum=hashlib.sha256(text).hexdigest(), statements=(piece,)
    )
    staging.ok("approve", proven, "--by", "ana", "--yes")

    def check(*more: str) -> tuple[int, list[tuple[str, str]]]:
        ran = staging.run("check", str(tmp_path), "--no-squawk", "--json", *more)
        findings = json.loads(ran.stdout)["findings"]
        return ran.exit_code, [
            (each["file"].split("/")[-2], each["rule"]) for each in findings
        ]

    assert check() == (0, [("2_b", "not-proven")])
    assert check("--database", "crm") == (
        0,
        [("1_a", "not-proven"), ("2_b", "not-proven")],
    )
    lay(tmp_path, {"1_a/migration.sql": "CREATE TABLE a (id text);\n"})
    assert check() == (1, [("1_a", "changed-after-proof"), ("2_b", "not-proven")])
    _tamper(staging, "UPDATE proofs SET body = '{' WHERE kind = 'proof'")
    ran = staging.run("check", str(tmp_path), "--no-squawk")
    assert "ledger row" in ran.stderr


def test_a_check_without_a_ledger_to_ask(tmp_path: Path) -> None:
    lay(tmp_path, {"1_a/migration.sql": "CREATE TABLE a (id uuid);\n"})
    place = Place(tmp_path / "bare", "")
    ran = place.run("check", str(tmp_path), "--no-squawk")
    assert ran.exit_code == 2
    assert 'no section "migrations"' in ran.output


def test_ids(staging: Place) -> None:
    proven = staging.record()
    assert staging.json("show", proven[:6])["id"] == proven
    assert staging.json("show", proven.upper())["proof"]["before"]
    assert "at least 6" in staging.wrong("show", proven[:5]).message
    assert "there is no proof" in staging.wrong("show", "%%%%%%").message
    assert "CREATE TABLE t" in staging.ok("show", proven)


def test_the_store_is_down(staging: Place) -> None:
    staging.record()
    store = staging.folder / "store.db"
    store.write_bytes(b"no database at all" * 100)
    for command in (("list",), ("show", "abcdef"), ("verify",), ("revoke", "abcdef")):
        assert isinstance(staging.run(*command).exception, StoreUnavailable)


def test_settings_that_lack_something(tmp_path: Path) -> None:
    place = Place(tmp_path / "bare", "")
    assert 'no section "migrations"' in place.wrong("list").message
    other = Place(tmp_path / "other", PRODUCTION)
    assert "keys file" in other.wrong("list").message
    text = other.config.read_text()
    (other.folder / "identities.yaml").write_text("version: 1\nidentities: []\n")
    other.config.write_text(
        text.replace(
            "store: {url: 'sqlite:///store.db'}", "identities: identities.yaml"
        )
    )
    assert "the settings name none" in other.wrong("show", "abcdef").message
    other.config.write_text(text.replace("environment: production, ", ""))
    assert 'key "environment" is missing' in other.wrong("list").message


# --- the way back -------------------------------------------------------------

TABLE = "CREATE TABLE t (a int)"
DROPS = 'DROP TABLE "t";\n'


def _of_a_table(place: Place, **changed: Any) -> str:
    made = proven_statement(Sent(TABLE.encode()), datetime.now(UTC), message=1)
    checksum = hashlib.sha256(TABLE.encode()).hexdigest()
    values = {"statements": (made,), "checksum": checksum, **changed}
    return place.record(**values)


def _plan(place: Place, **changed: Any) -> str:
    """A plan as `rollback-plan --json` writes it, of a trial that held."""
    lay(place.folder, {"prisma/20261101_add/migration.sql": TABLE})
    planned = RUN.invoke(
        migration_app,
        ["rollback-plan", str(place.folder / "prisma"), "--no-proof", "--json"],
    )
    found = json.loads(planned.stdout)
    (way,) = found["migrations"]
    way |= {"proof": {"holds": True, "trouble": ""}, **changed}
    path = place.folder / "plan.json"
    path.write_text(json.dumps({**found, "tried": True}))
    return str(path)


def test_a_way_back_is_signed_with_the_yes_and_shown(
    staging: Place, production: Place, tmp_path: Path
) -> None:
    proven = _of_a_table(staging)
    said = staging.ok(
        "approve", proven, "--by", "ana", "--way-back", _plan(staging), "--yes"
    )
    assert "way back, tried, as ana says" in said
    assert 'loses the rows of "t"' in said
    staging.ok("export", str(tmp_path / "ledger"))
    production.ok("import", str(tmp_path / "ledger"))
    assert production.ok("show", proven, "--way-back") == DROPS
    shown = production.ok("show", proven)
    assert DROPS.strip() in shown
    assert 'loses the rows of "t"' in shown
    (yes,) = production.json("show", proven)["approvals"]
    assert (yes["way_back"], yes["way_back_script"]) == ("tried", DROPS)
    assert production.json("verify")["problems"] == []


def test_there_is_none_only_if_somebody_says_so(staging: Place) -> None:
    proven = _of_a_table(staging)
    none = _plan(staging, source="none", script="", why_not=[[1, "it is gone"]])
    error = staging.wrong("approve", proven, "--by", "a", "--way-back", none, "--yes")
    assert "can't be reversed: line 1: it is gone" in error.message
    assert "--no-way-back" in error.hint
    assert staging.states() == {proven: "recorded"}
    both = ("--way-back", none, "--no-way-back")
    assert "contradict" in staging.wrong("approve", proven, *both, "--by", "a").message
    staging.ok("approve", proven, "--by", "ana", "--no-way-back", "--yes")
    assert "as ana says: none; restore instead" in staging.ok("show", proven)
    assert "restore instead" in staging.wrong("show", proven, "--way-back").message


def test_what_did_not_hold_or_is_of_something_else_is_not_signed(
    staging: Place,
) -> None:
    proven = _of_a_table(staging)
    for changed in (
        {"proof": {"holds": False, "trouble": "+ x"}},
        {"proof": None},
        {"name": "other"},
        {"sha256": "0" * 64},
        {"script": "\\! touch /tmp/x"},
    ):
        plan = _plan(staging, **changed)
        staging.wrong("approve", proven, "--by", "a", "--way-back", plan, "--yes")
    assert staging.states() == {proven: "recorded"}
    assert staging.json("show", proven)["approvals"] == []


def test_no_script_where_people_name_different_ones(staging: Place) -> None:
    proven = _of_a_table(staging)
    for who, script in (("ana", DROPS), ("bea", "DROP TABLE t CASCADE;")):
        plan = _plan(staging, script=script)
        staging.ok("approve", proven, "--by", who, "--way-back", plan, "--yes")
    error = staging.wrong("show", proven, "--way-back")
    assert "different ways back: ana; bea" in error.message
    assert "CASCADE" in staging.ok("show", proven)


def test_a_script_that_was_changed_in_the_store_is_not_shown(staging: Place) -> None:
    proven = _of_a_table(staging)
    plan = _plan(staging)
    staging.ok("approve", proven, "--by", "ana", "--way-back", plan, "--yes")
    _tamper(
        staging,
        "UPDATE proofs SET body = CAST(replace(CAST(body AS text), 'DROP TABLE', "
        "'DROP  SCHEMA') AS blob) WHERE kind = 'approval'",
    )
    error = staging.wrong("show", proven, "--way-back")
    assert "nobody who counts has named a way back" in error.message


def test_it_can_be_asked_for(staging: Place) -> None:
    text = staging.config.read_text()
    staging.config.write_text(
        text.replace("staging.key}", "staging.key, way_back: required}")
    )
    proven = _of_a_table(staging)
    said = _plain(staging.ok("approve", proven, "--by", "ana", "--yes"))
    assert "nobody has said how to take it back" in said
    assert staging.states() == {proven: "recorded"}
    plan = _plan(staging)
    staging.ok("approve", proven, "--by", "ana", "--way-back", plan, "--yes")
    assert staging.states() == {proven: "approved"}
