"""What each key and word of a policy document means, for docs/reference/policy.md.

Beside the page rather than in the model: these are words for readers. A key without one
fails tests/unit/test_docs.py. Next: `docs.generate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.auth.client_certificates import CertificateName
from proxy.auth.methods import Method
from proxy.policy import model as policy
from proxy.sql.facts import Access, Effect, Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

HEAD: Final = """\
The schema of a policy, key by key. How a decision comes about, an example of a whole
document, recipes and case files are in [policies/README.md](../../policies/README.md); how to
change one is [write a policy](../how-to/write-a-policy.md).

An unknown key or word, a duplicate key, a YAML anchor, alias, tag or merge key, or a
reference to a list that is not there: each refuses the document as a whole, and all problems
are told at once, with their lines.

Where a list of words is wanted, a single word may stand alone. `*` stands for any run of
characters.
"""

MODELS: Final[Mapping[type[BaseModel], str]] = {
    policy.PolicyModel: "The document",
    policy.DoctorGate: "`doctor`",
    policy.Waiver: "An item of `waive`",
    policy.MigrationChecks: "`migration_checks`",
    policy.MigrationWaiver: "An item of `waive` of `migration_checks`",
    policy.LoginRule: "A rule of `authentication`",
    policy.LoginWhen: "`when` of a rule of `authentication`",
    CertificateName: "`certificate`",
    policy.Access: "`access`",
    policy.Lendable: "A role that is lent",
    policy.Role: "A role",
    policy.RoleLimits: "`limits`",
    policy.RoleMigrations: "`migrations`",
    policy.Login: "`login`",
    policy.Rule: "A rule",
    policy.When: "`when`",
    policy.Surroundings: "`unless`",
    policy.Window: "An item of `during`",
    policy.Shadow: "`shadow`",
    policy.Acts: "`permit` and `forbid`",
    policy.FunctionMatch: "An item of `functions`",
    policy.RelationMatch: "An item of `relations`",
    policy.DatabaseMatch: "An item of `databases`",
    policy.SettingMatch: "An item of `settings`",
}

_NAMES: Final = (
    "Names, with or without schema. Where a statement writes no schema, the catalog tells "
    "which it can be: a permit of `billing.total` wants that one alone. Without a catalog "
    "it wants the schema written, and a forbid covers a statement that writes none."
)

_AROUND: Final = {
    "networks": "The client's address is in one of these: `10.0.0.0/8`, "
    "`2001:db8::/32`, an address, or `loopback`. Behind a balancer it is the balancer's.",
    "applications": "The session's `application_name` is one of these. A hint only: "
    "clients choose it.",
    "during": "The time is in one of these windows, see below.",
    "proven": "`true`: the statement is part of a [proven migration](../explanation/"
    "proven-migrations.md) that all gates let pass. `false`: it is not.",
}

KEYS: Final[Mapping[type[BaseModel], Mapping[str, str]]] = {
    policy.PolicyModel: {
        "version": "1.",
        "name": "Shown in reasons and in `pgwarden policy show`.",
        "description": "One line for people.",
        "doctor": "Whether [the doctor](../how-to/check-your-roles.md)'s critical findings "
        "keep pgwarden from serving.",
        "migration_checks": "What [`pgwarden migration check`](../how-to/check-migrations-in-ci.md) "
        "accepts.",
        "authentication": "How clients prove who they are: the first rule that fits decides, and "
        "who fits none is refused. Without it: everyone by password (`scram`). "
        "[How to](../how-to/choose-how-people-log-in.md).",
        "lists": "Named lists of words; `@name` in a rule stands for all of them.",
        "settings": "Named groups of settings; `@name` under `settings` in a rule.",
        "access": "Which roles are lent for a while, to whom and by whom.",
        "rules": "Named groups of rules; roles `include` them.",
        "roles": "The roles, by name. Identities name one of them.",
    },
    policy.DoctorGate: {
        "gate": "`pgwarden serve` serves only while no critical finding stands. Set it for "
        "production.",
        "waive": "Findings that do not count, for a while.",
    },
    policy.Waiver: {
        "finding": "Its id, see [findings](findings.md).",
        "login": "Name of an upstream login in the settings; `*` and `?` are wildcards.",
        "database": "The same of the database. A finding of the whole server has none, "
        "which only `*` fits.",
        "until": "Last day (UTC) on which it counts, at most a year ahead: `2027-01-31`.",
        "reason": "Why, for whoever reads the log.",
    },
    policy.MigrationChecks: {
        "waive": "Findings that do not count, for a while. A comment above the statement does the "
        "same for one of them.",
    },
    policy.MigrationWaiver: {
        "finding": "Its rule, as `drop-column` or `squawk/changing-column-type`; `*` and `?` are "
        "wildcards.",
        "files": "Of which files: the end of a path, with the same wildcards.",
        "until": "Last day (UTC) on which it counts, at most a year ahead: `2027-01-31`.",
        "reason": "Why, for whoever reads the report.",
    },
    policy.LoginRule: {
        "id": "As of any other rule; in the session.start record as `login_rule`.",
        "when": "Whom it fits; without it, everyone.",
        "method": "How they prove who they are, see below.",
        "certificate": "Whose certificate it must be where the identity does not say itself: a name "
        "that holds `{identity}`, see below.",
        "issuer": "Of `token` and `oauth`, which must have one: whose tokens are taken, by its "
        "name under `issuers` in [the settings](settings.md#issuersname).",
        "reason": "Of `reject`, which must have one: in words for the person.",
        "hint": "Of `reject`: what to do instead.",
    },
    CertificateName: {
        "email": "This or one of the next four: a subject alternative name, case counts before the `@`.",
        "dns": "A subject alternative name.",
        "uri": "A subject alternative name, such as `spiffe://example.com/people/{identity}`.",
        "common_name": "The common name of its subject, if it has exactly one.",
        "subject": "Its distinguished name as RFC 4514 writes it: `CN=ana,OU=people,O=Example`. Of an "
        "identity only.",
        "issuer": "The distinguished name of the authority that signed it: for more than one in "
        "`tls.client_ca`.",
    },
    policy.LoginWhen: {
        "databases": "The database that the client asks for.",
        "identities": "The name that it gives. A name that stands here is no secret: "
        "whoever tries it sees how it would log in.",
        "roles": "The role of the identity of that name. A name that nobody has has none.",
        "networks": _AROUND["networks"],
        "tls": "Whether the connection is encrypted.",
    },
    policy.Access: {
        "roles": "The roles that are lent, by name. See [lent rights](lent-rights.md).",
    },
    policy.Lendable: {
        "requesters": "Roles whose identities may ask for it. A lent role can't be one.",
        "approvers": "Roles whose identities say yes or no, and may revoke it. Nobody "
        "decides on what they have asked for themselves.",
        "reviewers": "Roles whose identities look back at what was done; without it, the "
        "approvers. Nobody reviews what was lent to them.",
        "approvals": "How many have to say yes, each another identity.",
        "longest": "The longest time it is lent for: a whole number and s, m or h, at most "
        "`24h`.",
        "pending_for": "How long a request waits; then it has to be made anew.",
        "pending_each": "How many requests of one identity may wait at once.",
    },
    policy.Role: {
        "description": "One line for people.",
        "login": "`permit`, or why an SQL session is refused.",
        "upstream": "Name of the upstream login (in the settings) that its sessions use.",
        "read_only": "Postgres is told so as well: `default_transaction_read_only=on` in "
        "the upstream startup packet.",
        "limits": "What its sessions may take.",
        "migrations": "Of roles whose sessions run migrations: what these have to do with "
        "[proofs](../explanation/proven-migrations.md).",
        "include": "Groups of rules, in order.",
        "rules": "The role's own rules, after the included ones.",
    },
    policy.RoleLimits: {
        "sessions": "Sessions of the role at once. Looked at when someone logs in (53300).",
        "sessions_per_identity": "The same for each identity of the role. "
        "`limits.sessions_per_identity` of the settings holds besides.",
        "reserved_slots": "Of the places that `limits.sessions` of the settings gives, so "
        "many are kept for this role, whatever the others take.",
        "statements_per_minute": "Statements of one identity, over all its sessions, in any "
        "minute; one more is refused (53400). Each statement of a Query counts, each first "
        "Execute of a portal, and what the policy refuses. COMMIT and ROLLBACK of an open "
        "transaction pass.",
        "running_time_s": "At least 1. A statement is cancelled after so many seconds (57014); if "
        "it goes on for 5 more, its session ends (57P01). It counts from when it leaves for "
        "Postgres to its last answer, whatever it waits for: locks, COPY data, a client "
        "that does not read. Postgres holds the answers of a pipeline back up to its Sync "
        "or Flush (or 8 kB), and what it holds back counts as one statement.",
        "idle_in_transaction_s": "At least 1. A session ends (25P03) when it is in a transaction, "
        "implicit ones included, and nothing has run for so many seconds. Only a statement "
        "that runs counts: no Sync, no empty text, no half-sent message, nothing in a "
        "transaction that has failed.",
    },
    policy.RoleMigrations: {
        "proofs": "`record`: each migration that runs is written down as a proof, as staging "
        "does. `accept`: a proven migration may do what the rules permit to `proven: true`, "
        "and all else goes by the rules. `require`: what changes anything runs only as part "
        "of a proven migration, as in production.",
        "commands": "Commands of tools that write down a migration without running it, and "
        "that may run all the same: `prisma migrate resolve --applied`, `alembic stamp`. `*` "
        "stands for any characters.",
    },
    policy.Login: {
        "refuse": "Why not, in words for the person.",
        "hint": "Where to go instead.",
    },
    policy.Rule: {
        "id": "Unique in the role; in the refusal's DETAIL, in the audit log and in a "
        "metric's label. Lower case, digits, `.`, `-`, `_`.",
        "reason": "Why, in words for the person. A forbid must have one.",
        "hint": "What to do instead.",
        "when": "The rule holds only for statements like this, and only there and then.",
        "unless": "The rule does not hold there and then, if every key given fits.",
        "shadow": "The rule is on trial: see below.",
        "permit": "Acts that it permits.",
        "forbid": "Acts that it forbids. A forbid wins over any permit.",
        "quarantine": "After a refusal by this forbid the session may only do what rules "
        "with `in_quarantine` permit, until it ends.",
        "in_quarantine": "This permit holds in quarantine, too.",
    },
    policy.When: {
        **_AROUND,
        "databases": "The session's database.",
        "kinds": "The statement does one of these, among others.",
        "actions": "The same of its actions.",
        "flags": "The same of its flags.",
    },
    policy.Surroundings: _AROUND,
    policy.Shadow: {
        "until": "When the trial is over, without a reload: the last day, `2026-12-31` (it "
        "ends with that day in UTC), or an instant, `2026-12-31T18:00+01:00`. A forbid "
        "refuses then; a permit, whose absence was tried, permits no more.",
    },
    policy.Window: {
        "timezone": "Whose clocks: a name of the IANA database, `Europe/Zurich`, `UTC`.",
        "days": "Such as `mon`, `mon-fri`, `[sat, sun]`. Without it: every day.",
        "hours": 'Such as `"08:00-18:00"`, the end not included; `"22:00-06:00"` '
        "ends on the day after, and `days` asks for the day on which it began. Seconds "
        'may follow: `"08:00:00-08:00:30"`. Without it: the whole day.',
        "since": "First day, as `2026-12-01`.",
        "until": "Last day, included.",
    },
    policy.Acts: {
        "everything": "Every act.",
        "kinds": "Kinds of work, see below.",
        "actions": "What it does, in words: `drop table`, `alter table add column`. "
        "`pgwarden explain` shows those of a statement.",
        "flags": "Properties, see below.",
        "functions": "Functions that it calls; a bare word is a name.",
        "relations": "Tables, views, sequences that it touches.",
        "databases": "Databases that it creates, alters or drops; a bare word is a name.",
        "settings": "Settings that it changes; a bare word is a name.",
        "resets": "Settings that it resets; `all` for RESET ALL.",
        "lock_modes": "Modes of LOCK TABLE.",
    },
    policy.FunctionMatch: {"names": _NAMES, "effects": "Effects, see below."},
    policy.RelationMatch: {
        "access": "How it is touched, see below; `*` for any way.",
        "names": _NAMES,
        "except_names": "But not these.",
        "columns": "A forbid is of these columns alone, a permit of no others. Also "
        "behind `*`, joins, views and whole rows.",
    },
    policy.DatabaseMatch: {"names": "Names.", "except_names": "But not these."},
    policy.SettingMatch: {
        "name": "Name, or `computed` for one that the statement computes.",
        "except_names": "But not these; `*` with exceptions permits no computed name.",
        "values": "Only set to one of these, as a constant. Without it: to anything, "
        "bound and computed values included.",
        "items": "For `search_path` and `temp_tablespaces`: only lists of these names. "
        "`*` stands for any characters; case counts, as for a quoted name.",
    },
}

KINDS: Final[Mapping[Kind, str]] = {
    Kind.READ: "SELECT, TABLE, VALUES, EXPLAIN, SHOW, and what else returns rows and "
    "changes nothing",
    Kind.EXECUTE: "EXECUTE; the kinds of what is executed are added",
    Kind.CURSOR: "DECLARE, FETCH, MOVE, CLOSE",
    Kind.SESSION: "SET, SET TRANSACTION, SET CONSTRAINTS, RESET, DISCARD, PREPARE, "
    "DEALLOCATE, UNLISTEN",
    Kind.TRANSACTION: "BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE",
    Kind.TWO_PHASE: "PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED",
    Kind.INSERT: "INSERT, also inside a WITH",
    Kind.UPDATE: "UPDATE, also inside a WITH",
    Kind.DELETE: "DELETE, also inside a WITH",
    Kind.MERGE: "MERGE",
    Kind.TRUNCATE: "TRUNCATE",
    Kind.DDL: "CREATE, ALTER, DROP, COMMENT of what is inside a database, and REFRESH "
    "MATERIALIZED VIEW",
    Kind.DATABASE: "CREATE, ALTER, DROP DATABASE",
    Kind.PRIVILEGE: "GRANT, REVOKE, roles, default privileges, REASSIGN OWNED",
    Kind.MAINTENANCE: "VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT",
    Kind.PROCEDURE: "DO and CALL",
    Kind.COPY_IN: "COPY ... FROM STDIN",
    Kind.COPY_OUT: "COPY ... TO STDOUT",
    Kind.COPY_FILE: "COPY with a file or program of the server",
    Kind.LOCK: "LOCK TABLE",
    Kind.NOTIFY: "LISTEN, NOTIFY",
    Kind.SYSTEM: "ALTER SYSTEM, LOAD, tablespaces, subscriptions",
    Kind.UNKNOWN: "what pgwarden does not know; permit it nowhere",
}

FLAGS: Final[Mapping[Flag, str]] = {
    Flag.UNFILTERED: "UPDATE or DELETE without a WHERE, or with one that is always true",
    Flag.DESTRUCTIVE: "can lose data: drops, truncates, rewrites or retypes",
    Flag.HIDDEN_WRITE: "a write inside what looks like a read",
    Flag.INTO: "SELECT INTO, which creates a table",
    Flag.ROW_LOCK: "FOR UPDATE, NO KEY UPDATE, SHARE or KEY SHARE, at any depth",
    Flag.SERVER_FILE: "a file on the server",
    Flag.SERVER_PROGRAM: "a program on the server, or code in a language that may do "
    "what a program may (`c`, `plpython3u`)",
    Flag.READ_WRITE: "asks for a transaction or session that may write",
    Flag.WITH_HOLD: "a cursor WITH HOLD",
    Flag.EXPLAIN_ANALYZE: "EXPLAIN ANALYZE, which runs the statement",
    Flag.ATTRIBUTE_CALL: "`(x).f` or `t.f`, a column or a call of function f",
    Flag.SECRET: "a password or connection string, redacted in the audit log",
    Flag.CASCADE: "CASCADE",
    Flag.CONCURRENTLY: "CONCURRENTLY",
}

ACCESSES: Final[Mapping[Access, str]] = {
    Access.READ: "its rows are read",
    Access.READ_FOREIGN: "it is a foreign table (by the catalog), or a view over one",
    Access.INSERT: "rows are added",
    Access.UPDATE: "rows are changed",
    Access.DELETE: "rows are deleted",
    Access.TRUNCATE: "it is emptied",
    Access.LOCK: "it is locked by LOCK TABLE",
    Access.CREATE: "it is created",
    Access.ALTER: "its definition is changed",
    Access.DROP: "it is dropped",
}

EFFECTS: Final[Mapping[Effect, str]] = {
    Effect.NONE: "it only returns a value: a built-in function of the reviewed list",
    Effect.UNKNOWN: "pgwarden does not know it: your own functions, and extensions",
    Effect.STABLE: "your own, STABLE or IMMUTABLE, not SECURITY DEFINER (by the catalog)",
    Effect.VOLATILE: "your own, VOLATILE (by the catalog)",
    Effect.DEFINER: "your own, SECURITY DEFINER (by the catalog)",
    Effect.SETTING: "it changes how the server or session is configured",
    Effect.SEQUENCE: "it moves a sequence",
    Effect.LARGE_OBJECT: "it reads or writes large objects",
    Effect.SIGNAL: "it cancels or ends other sessions, or signals the server",
    Effect.ADVISORY_LOCK: "it takes or frees advisory locks",
    Effect.FILE: "it reads or writes files on the server",
    Effect.SQL_TEXT: "it runs SQL handed over as text",
    Effect.NETWORK: "it opens connections from the server",
    Effect.NOTIFY: "it sends notifications to other sessions",
    Effect.WAL: "it acts on the write-ahead log, replication or backups",
    Effect.STATISTICS: "it resets or writes statistics",
    Effect.CATALOG: "it changes the system catalog",
    Effect.INDEX: "it changes or checks indexes",
    Effect.TRANSACTION: "it consumes or exports transaction state",
    Effect.SLEEP: "it holds a connection and its locks for as long as it likes",
    Effect.OTHER: "it does more than return a value",
}

METHODS: Final[Mapping[Method, str]] = {
    Method.SCRAM: "A password, by SCRAM-SHA-256; by SCRAM-SHA-256-PLUS, which binds the login "
    "to the TLS channel, where the driver can do it and pgwarden's certificate has a hash.",
    Method.SCRAM_PLUS: "The same, and nobody comes in who was not bound to the channel.",
    Method.CERTIFICATE: "The client certificate of the TLS handshake (libpq: `sslcert`, `sslkey`), of an "
    "authority in the settings' `tls.client_ca`.",
    Method.CERTIFICATE_AND_SCRAM: "Both: the certificate, and then the password.",
    Method.TOKEN: "The token of an issuer, given as password: over TLS pgwarden asks for a clear-text "
    "password, which any client can give. In plain text nothing is asked for. "
    "[People](../how-to/log-in-with-your-company-account.md), "
    "[jobs](../how-to/deploy-from-github-actions.md).",
    Method.OAUTH: "The same by OAUTHBEARER, for libpq 18 and newer with its OAuth module.",
    Method.REJECT: "Nothing: they may not come in.",
}

VOCABULARIES: Final[Mapping[str, Mapping[str, str]]] = {
    "Words of `method`": {method.value: METHODS[method] for method in Method},
    "Words of `kinds`": {kind.value: KINDS[kind] for kind in Kind},
    "Words of `flags`": {flag.value: FLAGS[flag] for flag in Flag},
    "Words of `access`": {access.value: ACCESSES[access] for access in Access},
    "Words of `effects`": {effect.value: EFFECTS[effect] for effect in Effect},
}

TAIL: Final = """
## What no policy can permit

Another `client_encoding` than UTF8, `standard_conforming_strings` off, and `set_config()` with a
computed name (but for the one value that pg_dump uses): the server would then read texts
otherwise than pgwarden does. The protocol's FunctionCall, replication, and a statement that
pgwarden can't parse are refused in the same way, whatever the document says.
"""
