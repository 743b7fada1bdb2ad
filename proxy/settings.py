"""How this pgwarden process runs: one YAML file, then `PGWARDEN_*` variables on top.

An unknown key is an error that names the key, its line and the nearest known one. A
nested key is spelled with two underscores: `PGWARDEN_UPSTREAM__HOST`. Secrets are never
settings themselves: a login names the file or variable that holds its password.
Next: `proxy.server.run`. Reference: docs/reference/settings.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, model_validator

from proxy.access_settings import AccessSettings
from proxy.addresses import Address
from proxy.errors import ConfigError, reason_of
from proxy.issuer_settings import IssuerSettings
from proxy.migration_settings import MigrationSettings
from proxy.policy.documents import keys_at, validated
from proxy.policy.patterns import nearest
from proxy.policy.yaml import Loaded, load_yaml
from proxy.settings_login import LoginLimits, ProxyProtocolSettings
from proxy.settings_section import Section
from proxy.settings_upstream import UpstreamSettings
from proxy.store_settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.policy.yaml import Value

M = TypeVar("M", bound=BaseModel)

PREFIX = "PGWARDEN_"
NOT_SETTINGS = (
    "PGWARDEN_CONFIG",
    "PGWARDEN_AUDIT_FOLDER",  # of the audit commands
    "PGWARDEN_COMPILE",  # of hatch_build.py
    "PGWARDEN_DEEP",  # of the tests
    "PGWARDEN_DEMO_",
    "PGWARDEN_TEST_",
    "PGWARDEN_SECRET_",
)
"""Variables (or their beginnings) with our prefix that are not settings."""


class AuditSettings(Section):
    """Where the audit log goes."""

    folder: Path = Field(
        description="Made if it is missing, mode 0700; refused if others may write to "
        "it. Holds one file being written by each worker."
    )
    durability: Literal["page-cache", "fdatasync"] = Field(
        default="page-cache",
        description="What a record must survive before its statement goes on: a crash "
        "of pgwarden (page-cache), or one of the machine (fdatasync, which waits for "
        "the disk).",
    )


class TlsSettings(Section):
    """What clients are shown."""

    certificate: Path = Field(
        description="PEM, with the chain. Read again at a reload."
    )
    key: Path = Field(description="PEM, without a passphrase. Read again at a reload.")
    client_ca: Path | None = Field(
        default=None,
        description="PEM of the authorities whose client certificates count, where the "
        "policy has a login rule that asks for one. Read again at a reload.",
    )
    client_crl: Path | None = Field(
        default=None,
        description="PEM of their revocation lists, one for each authority of a chain. "
        "Read again at a reload, which ends the sessions of what it names.",
    )

    @model_validator(mode="after")
    def _crl_needs_ca(self) -> Self:
        if self.client_crl is not None and self.client_ca is None:
            raise ValueError('"client_crl" needs "client_ca"')
        return self

    def files(self) -> list[Path]:
        """Every file of it; a change of one calls for a reload."""
        found = (self.certificate, self.key, self.client_ca, self.client_crl)
        return [path for path in found if path is not None]


class LimitSettings(LoginLimits):
    """Ceilings and time-outs."""

    statement_bytes: int = Field(
        default=1024 * 1024,
        ge=16 * 1024,
        le=1024 * 1024,
        description="Text of a Query or Parse. The parser takes 0.4 s and 45 MB for "
        "1 MiB at worst, which is its own ceiling. Parameters and COPY data do not "
        "count.",
    )
    prepared_statements: int = Field(
        default=5_000,
        ge=1,
        description="Names a session may hold: drivers keep some hundred, and each "
        "holds its text and facts in memory.",
    )
    portals: int = Field(
        default=5_000, ge=1, description="The same for portals and cursors."
    )
    sessions: int = Field(
        default=1_000,
        ge=1,
        description="Sessions of one worker. Each is one upstream connection: stay "
        "under the server's max_connections.",
    )
    sessions_per_identity: int = Field(
        default=100,
        ge=1,
        description="Sessions of one identity in one worker, so that a runaway pool "
        "leaves room for others.",
    )
    unfinished_logins: int = Field(
        default=200,
        ge=1,
        description="Connections of one worker that have not logged in yet; more are "
        "closed at once. They come from anyone, so they must cost little.",
    )
    login_timeout_s: float = Field(
        default=15.0,
        gt=0,
        description="For the whole way from connecting to a session, the upstream's "
        "part included. People type passwords before they connect, not during.",
    )
    idle_session_timeout_s: float = Field(
        default=0.0,
        ge=0,
        description="Ends a session (57P05) that sent nothing for so long; 0 never. "
        "Off, because pools keep idle connections on purpose.",
    )
    drain_timeout_s: float = Field(
        default=30.0,
        ge=0,
        description="How long running statements may go on after SIGTERM before they "
        "are ended.",
    )

    @property
    def first_packet_s(self) -> float:
        """For the first packet: no more than the whole login has."""
        return min(self.first_packet_timeout_s, self.login_timeout_s)


class LogSettings(Section):
    """The operations log, on standard error; the audit log is apart."""

    format: Literal["json", "console"] = Field(
        default="json", description="Lines for machines, or for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is told."
    )


def _at_least_one(value: tuple[Address, ...]) -> tuple[Address, ...]:
    if not value:
        raise ValueError("give at least one host:port")
    return value


class Settings(Section):
    """Everything `pgwarden serve` needs to know."""

    listen: Annotated[tuple[Address, ...], AfterValidator(_at_least_one)] = Field(
        description="Where clients connect: a list of `host:port`. From outside "
        "loopback only TLS is accepted."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes. One uses one core; the limits count for each.",
    )
    admin: Address | None = Field(
        default=None,
        description="Where /healthz, /readyz and /metrics are served, without a "
        "log-in; without it, nowhere.",
    )
    policy: Path = Field(description="The policy document. Read again when it changes.")
    identities: Path | None = Field(
        default=None,
        description="The identities document. Read again when it changes. Without it, "
        "they are in the store.",
    )
    store: StoreSettings | None = None
    access: AccessSettings = AccessSettings()
    audit: AuditSettings
    tls: TlsSettings | None = None
    issuers: dict[str, IssuerSettings] = Field(
        default={},
        description="Whose tokens may stand for a password, by the name that policy "
        "and identities use.",
    )
    upstream: UpstreamSettings
    migrations: MigrationSettings | None = None
    limits: LimitSettings = LimitSettings()
    proxy_protocol: ProxyProtocolSettings | None = None
    log: LogSettings = LogSettings()
    ready_file: Path | None = Field(
        default=None,
        description="Written (JSON, 0600) once clients can connect, with the addresses "
        "and process ids; removed at the end.",
    )

    @model_validator(mode="after")
    def _somebody_may_come_in(self) -> Self:
        if self.identities is None and self.store is None:
            raise ValueError(
                'give "identities", a file, or "store", where they are kept'
            )
        return self

    @model_validator(mode="after")
    def _restore_points_have_a_login(self) -> Self:
        if self.migrations is None:
            return self
        name = self.migrations.gates.restore_point_login
        if name is None:
            return self
        login = self.upstream.logins.get(name)
        if login is None:
            raise ValueError(
                f'"migrations.gates.restore_point_login": no upstream login "{name}"'
                f"{nearest(name, self.upstream.logins)}"
            )
        if login.is_per_identity:
            raise ValueError(
                f'"migrations.gates.restore_point_login": "{name}" is a role for each '
                "identity; it must be one that is pgwarden's alone"
            )
        return self

    def resolved(self, base: Path) -> Self:
        """The same with relative paths taken from `base`, the file's folder."""
        resolved = _resolve(self, base.absolute())
        if resolved.store is None:
            return resolved
        store = resolved.store.resolved(base.absolute())
        return resolved.model_copy(update={"store": store})


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings in `path` with `PGWARDEN_*` variables of `environment` on top.

    Raises:
        ConfigError: every problem, each with its line, in one message.
    """
    source = str(path)
    try:
        loaded = load_yaml(path.read_text(), source=source)
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f'settings file "{path}" can\'t be read: {reason}') from error
    merged = Loaded(_with_environment(loaded.value, environment), loaded.lines)
    return validated(Settings, merged, source=source).resolved(path.parent)


def _with_environment(value: Value, environment: Mapping[str, str]) -> Value:
    """Lay each `PGWARDEN_A__B=text` over `value["a"]["b"]`, read as YAML."""
    if not isinstance(value, dict):
        return value
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name.startswith(NOT_SETTINGS):
            continue
        *outer, last = path = name.removeprefix(PREFIX).lower().split("__")
        place = value
        for depth, part in enumerate(outer):
            _check_known(name, path[:depth], part)
            if place.get(part) is None:
                place[part] = {}
            inner = place[part]
            if not isinstance(inner, dict):
                raise ConfigError(f'{name}: "{part}" is not a section of the settings')
            place = inner
        _check_known(name, outer, last)
        place[last] = load_yaml(text, source=name).value
    return value


def _check_known(variable: str, outer: list[str], key: str) -> None:
    """Name the variable: in the file, where problems are told by line, it is not."""
    known = keys_at(Settings, tuple(outer))
    if outer[-1:] not in (["logins"], ["issuers"]) and key not in known:
        raise ConfigError(f'{variable}: unknown key "{key}"{nearest(key, known)}')


def _resolve(model: M, base: Path) -> M:
    changed: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changed[name] = base / value.expanduser()
        elif isinstance(value, BaseModel):
            changed[name] = _resolve(value, base)
        elif isinstance(value, dict):
            changed[name] = {
                key: _resolve(item, base) if isinstance(item, BaseModel) else item
                for key, item in value.items()
            }
    return model.model_copy(update=changed)
