"""The identity commands, on a file and on a store alike: what they change and show."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from proxy.auth.identities import load_identities
from proxy.auth.secrets import make_secret, parse_secret
from proxy.cli.identity import identity_app
from proxy.errors import ConfigError
from proxy.server.store_now import ask_now, roll_now
from proxy.settings import load_settings
from proxy.shipped import policy_path
from proxy.store import identities
from proxy.store.engine import Change

if TYPE_CHECKING:
    from typer.testing import Result

    from proxy.auth.identities import Identity
    from proxy.store.engine import Store
    from proxy.store_settings import StoreSettings

RUN = CliRunner()
ROOT = Path(__file__).parents[3]
SETTINGS = """\
listen: [127.0.0.1:0]
policy: {policy}
audit: {{folder: audit}}
upstream:
  host: localhost
  logins: {{reader: {{user: r}}, migrator: {{user: m}}}}
{where}
"""
ISSUERS = """
tls: {certificate: server.crt, key: server.key}
issuers:
  forge: {url: "https://token.actions.githubusercontent.com", audience: pgwarden}
"""
FILE = "# ours\nversion: 1\nidentities: []\n"
PLACES = {
    "file": "identities: identities.yaml",
    "store": "store: {url: 'sqlite:///store.db'}",
    "both": "identities: identities.yaml\nstore: {url: 'sqlite:///store.db'}",
}


class Place:
    """A folder with settings, and the commands run on it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.config = folder / "pgwarden.yaml"
        policy = policy_path("production")
        self.config.write_text(SETTINGS.format(policy=policy, where=PLACES[kind]))
        (folder / "identities.yaml").write_text(FILE)
        self.settings = load_settings(self.config, {})

    @property
    def store(self) -> StoreSettings:
        assert self.settings.store is not None
        return self.settings.store

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        command = [*arguments, "--config", str(self.config)]
        return RUN.invoke(identity_app, command, input=stdin)

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        ran = self.run(*arguments, stdin=stdin)
        assert ran.exit_code == 0, (ran.output, ran.exception)
        return ran.stdout

    def wrong(self, *arguments: str) -> ConfigError:
        error = self.run(*arguments).exception
        assert isinstance(error, ConfigError), error
        return error

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def find(self, name: str) -> Identity | None:
        """As the server reads it."""
        if self.settings.identities is None:
            return roll_now(self.store).identities().find(name)
        text = self.settings.identities.read_text()
        return load_identities(yaml.safe_load(text), source="test").find(name)


@pytest.fixture(params=["file", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


def fits(identity: Identity | None, password: str, which: int = 0) -> bool:
    assert identity is not None
    secret = identity.secrets[which]
    made = make_secret(password, salt=secret.salt, iterations=secret.iterations)
    return made == secret


def test_the_password_is_shown_once_and_fits(place: Place) -> None:
    shown = place.json("add", "ana", "--role", "developer")
    assert fits(place.find("ana"), shown["password"])
    word = place.ok("add", "bea", "--role", "developer").split()[-1]
    assert fits(place.find("bea"), word)
    for command in (
        ("list",),
        ("show", "ana"),
        ("list", "--json"),
        ("show", "bea", "--json"),
    ):
        said = place.ok(*command)
        assert "ana" in said or "bea" in said
        for hidden in ("SCRAM", shown["password"], word):
            assert hidden not in said


def test_a_password_from_a_file_or_standard_input_is_not_shown(place: Place) -> None:
    (place.folder / "pw").write_text("of a file\n")
    file = str(place.folder / "pw")
    assert place.ok("add", "ana", "--role", "developer", "--password-file", file) == ""
    said = place.ok(
        "add", "bea", "--role", "developer", "--password-file", "-", stdin="typed in\n"
    )
    assert said == ""
    assert fits(place.find("ana"), "of a file")
    assert fits(place.find("bea"), "typed in")


@pytest.mark.parametrize("option", ["--password hunter22", "--password=hunter22"])
@pytest.mark.parametrize("command", ["add ana --role developer", "rotate ana"])
def test_a_password_in_argv_is_refused_and_not_repeated(
    place: Place, command: str, option: str
) -> None:
    ran = place.run(*command.split(), *option.split())
    assert isinstance(ran.exception, ConfigError)
    assert "hunter22" not in f"{ran.output} {ran.exception} {ran.exception.hint}"
    assert place.find("ana") is None


def test_an_output_file_is_new_and_the_owners_alone(place: Place) -> None:
    path = place.folder / "for-ana"
    command = ("add", "ana", "--role", "developer", "--output-file", str(path))
    assert place.ok(*command) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert fits(place.find("ana"), path.read_text().removesuffix("\n"))
    other = ("add", "bea", "--role", "developer", "--output-file", str(path))
    assert "file exists" in place.wrong(*other).message
    assert place.find("bea") is None


def test_an_output_file_goes_with_what_failed(place: Place) -> None:
    path = place.folder / "for-ana"
    place.wrong("add", "ana", "--role", "nobody", "--output-file", str(path))
    assert not path.exists()


def test_a_role_that_the_policy_does_not_know(place: Place) -> None:
    said = place.wrong("add", "ana", "--role", "develper").message
    assert 'does not know; did you mean "developer"?' in said
    place.ok("add", "ana", "--role", "developer")
    place.wrong("set", "ana", "--role", "nobody")
    found = place.find("ana")
    assert found is not None
    assert found.role == "developer"


def test_disabled_and_back(place: Place) -> None:
    place.ok("add", "ana", "--role", "developer")
    before = place.find("ana")
    place.ok("disable", "ana")
    found = place.find("ana")
    assert found is not None
    assert found.disabled
    assert place.json("list")[0]["state"] == "disabled"
    place.ok("enable", "ana")
    after = place.find("ana")
    assert before is not None
    assert after is not None
    assert after.sessions_since != before.sessions_since
    assert replace(after, sessions_since=before.sessions_since) == before
    place.ok("remove", "ana")
    assert place.find("ana") is None
    for command in ("disable", "enable", "remove", "rotate", "show"):
        assert 'no identity "ana"' in place.wrong(command, "ana").message


def test_networks_and_validity(place: Place) -> None:
    place.ok(
        *("add", "ana", "--role", "developer", "--network", "10.0.0.0/8"),
        *("--network", "2001:db8::/32", "--valid-until", "2126-01-31"),
    )
    found = place.json("show", "ana")
    assert found["networks"] == ["10.0.0.0/8", "2001:db8::/32"]
    assert found["valid_until"] == "2126-01-31T23:59:59+00:00"
    place.ok("set", "ana", "--any-network", "--expires-in", "30d")
    found = place.json("show", "ana")
    until = datetime.fromisoformat(found["valid_until"])
    off = until - datetime.now(UTC) - timedelta(days=30)
    assert abs(off.total_seconds()) < 60
    assert found["networks"] == []
    place.ok("set", "ana", "--no-expiry")
    assert place.json("show", "ana")["valid_until"] is None
    for option, value in [
        ("--valid-until", "2020-01-01"),
        ("--valid-until", "2126-01-31T10:00:00"),
        ("--valid-until", "tomorrow"),
        ("--expires-in", "-1d"),
        ("--expires-in", "30"),
        ("--network", "10.0.0.1/8"),
    ]:
        place.wrong("set", "ana", option, value)


def test_two_passwords_during_a_rotation(place: Place) -> None:
    old = place.json("add", "ana", "--role", "developer")["password"]
    new = place.json("rotate", "ana")["password"]
    found = place.find("ana")
    assert fits(found, new, 0)
    assert fits(found, old, 1)
    assert place.json("show", "ana")["passwords"] == 2
    assert "two passwords already" in place.wrong("rotate", "ana").message
    place.ok("rotate", "ana", "--finish")
    found = place.find("ana")
    assert found is not None
    assert len(found.secrets) == 1
    assert fits(found, new)
    assert "nothing to finish" in place.wrong("rotate", "ana", "--finish").message


def test_an_overlap_ends_by_itself(place: Place) -> None:
    place.ok("add", "ana", "--role", "developer")
    newest = place.json("rotate", "ana", "--overlap", "24h")["password"]
    found = place.find("ana")
    assert found is not None
    now = datetime.now(UTC)
    assert len(found.secrets_at(now)) == 2
    assert found.secrets_at(now + timedelta(hours=25)) == found.secrets[:1]
    assert fits(found, newest)
    # The next rotation takes the place of what ends anyway.
    place.ok("rotate", "ana", "--overlap", "24h")
    found = place.find("ana")
    assert found is not None
    assert len(found.secrets) == 2
    assert fits(found, newest, 1)


def test_a_new_password_at_once(place: Place) -> None:
    place.ok("add", "ana", "--role", "developer")
    before = place.find("ana")
    new = place.json("rotate", "ana", "--now")["password"]
    found = place.find("ana")
    assert found is not None
    assert before is not None
    assert len(found.secrets) == 1
    assert fits(found, new)
    assert found.secrets[0].salt != before.secrets[0].salt


def test_only_by_a_certificate(place: Place) -> None:
    said = place.ok(
        *("add", "ci", "--role", "migrator", "--no-password"),
        *("--certificate", "uri=spiffe://example.com/ci"),
        *("--certificate", "issuer=CN=CI CA,O=Example"),
    )
    assert said == ""
    found = place.find("ci")
    assert found is not None
    assert found.secrets == ()
    assert found.certificate is not None
    assert found.certificate.uri == "spiffe://example.com/ci"
    assert found.certificate.issuer == "CN=CI CA,O=Example"
    shown = place.json("show", "ci")
    assert shown["passwords"] == 0
    assert shown["certificate"]["uri"] == "spiffe://example.com/ci"
    assert "certificate" in place.ok("list")
    # A password comes only by somebody's word, and can go again.
    assert "no password" in place.wrong("rotate", "ci").message
    word = place.json("rotate", "ci", "--now")["password"]
    assert fits(place.find("ci"), word)
    assert place.find("ci").certificate == found.certificate  # type: ignore[union-attr]
    place.ok("set", "ci", "--no-password")
    assert place.find("ci") == found
    said = place.wrong("set", "ci", "--no-certificate").message
    assert "could not come in" in said
    assert place.find("ci") == found


def test_only_by_a_token(place: Place) -> None:
    place.config.write_text(place.config.read_text() + ISSUERS)
    add = ("add", "ci", "--role", "migrator", "--no-password", "--issuer")
    place.ok(
        *(*add, "forge", "--claim", "repository=acme/shop"),
        *("--claim", "ref=refs/heads/main", "--claim", "ref=refs/tags/v*"),
        *("--claim", "repository_id=42", "--claim", "ref_protected=true"),
    )
    found = place.find("ci")
    assert found is not None
    assert found.secrets == ()
    assert found.token is not None
    assert found.token.issuer == "forge"
    assert found.token.claims == {
        "repository": ("acme/shop",),
        "ref": ("refs/heads/main", "refs/tags/v*"),
        "repository_id": (42,),
        "ref_protected": (True,),
    }
    assert place.json("show", "ci")["token"]["issuer"] == "forge"
    place.ok("set", "ci", "--certificate", "dns=ci.example.com", "--no-token")
    found = place.find("ci")
    assert found is not None
    assert (found.token, found.secrets) == (None, ())


ADD = ("add", "ci", "--role", "migrator", "--no-password")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*ADD,), "takes --certificate or --issuer"),
        ((*ADD, "--network", "10.0.0.0/8"), "takes --certificate or --issuer"),
        ((*ADD, "--certificate", "ci.example.com"), "not of the form NAME=VALUE"),
        ((*ADD, "--certificate", "dns="), "not of the form NAME=VALUE"),
        ((*ADD, "--certificate", "dns=a", "--certificate", "dns=b"), "given twice"),
        ((*ADD, "--certificate", "dns=a", "--certificate", "uri=b"), "exactly one"),
        ((*ADD, "--certificate", "host=ci.example.com"), "unknown key"),
        ((*ADD, "--certificate", "dns=*.example.com"), "no wildcards"),
        ((*ADD, "--certificate", "dns={identity}.example"), "rules of the policy"),
        ((*ADD, "--certificate", "dns=a", "--type"), "then there is none to type"),
        ((*ADD, "--claim", "repository=acme/shop"), "give --issuer, too"),
        ((*ADD, "--issuer", "forg", "--claim", "a=b"), 'did you mean "forge"?'),
        ((*ADD, "--issuer", "forge"), 'needs "claims"'),
        ((*ADD, "--issuer", "forge", "--claim", "ref=*"), '"*" alone allows'),
        ((*ADD, "--issuer", "forge", "--claim", "ref=x"), "everybody may have"),
    ],
)
def test_what_is_no_proof(place: Place, arguments: tuple[str, ...], told: str) -> None:
    place.config.write_text(place.config.read_text() + ISSUERS)
    assert told in place.wrong(*arguments).message
    assert place.find("ci") is None


def test_whom_no_rule_lets_in_is_told_of(place: Place) -> None:
    policy = place.folder / "policy.yaml"
    rules = """
authentication:
  - {id: login.jobs, when: {roles: [migrator], tls: true}, method: certificate}
  - {id: login.jobs.plain, when: {roles: [migrator]}, method: reject, reason: no TLS}
  - {id: login.people, method: scram}
"""
    policy.write_text(policy_path("production").read_text() + rules)
    text = place.config.read_text().replace(str(policy_path("production")), str(policy))
    tls = "tls: {certificate: c, key: k, client_ca: ca}\n"
    place.config.write_text(text + tls)
    told = place.run("add", "ci", "--role", "migrator").stderr
    assert '"ci" can\'t come in yet: rule login.jobs takes a certificate' in told
    told = place.run("set", "ci", "--certificate", "dns=ci.example").stderr
    assert told == ""
    add = ("add", "ana", "--role", "developer", "--certificate", "dns=a")
    told = place.run(*add, "--no-password").stderr
    assert "rule login.people takes a password" in told
    assert "login.jobs" not in told
    assert place.run("disable", "ana").exit_code == 0


def test_from_a_document_to_the_store_and_back(tmp_path: Path) -> None:
    place = Place(tmp_path, "store")
    document = tmp_path / "document.yaml"
    document.write_text(FILE)
    for name in ("ana", "bea"):
        command = ["add", name, "--role", "developer", "--file", str(document)]
        assert RUN.invoke(identity_app, command).exit_code == 0
    assert "2 identities in sqlite:///" in place.ok("import", str(document))
    assert 'there already: "ana", "bea"' in place.wrong("import", str(document)).message
    place.ok("import", "--replace", str(document))
    said = place.ok("export")
    assert yaml.safe_load(said) == yaml.safe_load(document.read_text())
    out = tmp_path / "out.yaml"
    place.ok("export", "--output-file", str(out))
    assert out.read_text() == said
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["store", "both"])
def test_the_history_says_who(tmp_path: Path, kind: str) -> None:
    place = Place(tmp_path, kind)
    password = place.json("add", "ana", "--role", "developer")["password"]
    place.ok("disable", "ana")
    place.run("disable", "nobody")
    events = place.json("history", "ana")
    assert [each["action"] for each in events] == ["identity.disable", "identity.add"]
    assert all("@" in each["by"] for each in events)
    said = place.ok("history") + json.dumps(events)
    assert password not in said
    assert "SCRAM" not in said
    assert "nobody" not in said


def test_a_row_that_nobody_understands_can_be_removed(tmp_path: Path) -> None:
    place = Place(tmp_path, "store")
    place.ok("add", "ana", "--role", "developer")

    async def harm(store: Store) -> None:
        async with store.changing(Change("me", "harm", "ana")) as connection:
            await connection.execute(identities.identities.update().values(entry={}))

    ask_now(place.store, harm)
    ran = place.run("list")
    assert 'can\'t log in: store: identity "ana"' in ran.stderr
    place.ok("remove", "ana")
    assert "ana" not in place.run("list").stderr


def test_comments_and_mode_of_a_file_stay(tmp_path: Path) -> None:
    place = Place(tmp_path, "file")
    path = tmp_path / "identities.yaml"
    path.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    ran = RUN.invoke(identity_app, ["add", "ana", "--role", "any", "--file", str(link)])
    assert ran.exit_code == 0
    assert link.is_symlink()
    assert path.read_text().startswith("# ours\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert place.find("ana") is not None
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_without_a_place_it_says_what_to_give() -> None:
    error = RUN.invoke(identity_app, ["list"], env={"PGWARDEN_CONFIG": ""}).exception
    assert isinstance(error, ConfigError)
    assert "--config" in error.message


def test_a_secret_of_the_document_is_read_back() -> None:
    made = RUN.invoke(identity_app, ["secret"], input="word\n").stdout.strip()
    secret = parse_secret(made)
    assert make_secret("word", salt=secret.salt) == secret


def test_the_how_to_works_line_by_line(tmp_path: Path) -> None:
    """Each command of the page, in its order, with what deploy/ has."""
    page = (ROOT / "docs" / "how-to" / "manage-identities.md").read_text("utf-8")
    place = Place(tmp_path, "store")
    document = tmp_path / "identities.yaml"
    document.write_text((ROOT / "deploy" / "identities.yaml").read_text("utf-8"))
    begin = "$ pgwarden identity "
    lines = [line for line in page.splitlines() if line.startswith(begin)]
    assert len(lines) >= 10
    env = {"PGWARDEN_CONFIG": str(place.config)}
    for line in lines:
        words = line.removeprefix(begin).replace("identities.yaml", str(document))
        ran = RUN.invoke(identity_app, words.split(), env=env)
        assert ran.exit_code == 0, (line, ran.exception)
    left = [each["name"] for each in place.json("list")]
    assert left == ["ana", "contractor", "deploy", "reports"]
    assert place.json("history", "bea")[0]["action"] == "identity.remove"
