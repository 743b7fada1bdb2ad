"""The corpus of attacks, the world that they should change, and how to look at it.

`world` reads everything an attack could leave behind: rows, catalogs, large objects,
roles, settings, files. Next: `tests/corpus/attacks.yaml`, `test_attacks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from psycopg import conninfo
from typing_extensions import override

if TYPE_CHECKING:
    from tests.oracle.wire import Session

CORPUS = Path(__file__).parents[1] / "corpus" / "attacks.yaml"
ALL_MAJORS = (15, 17, 18)

_OF_USERS = "relnamespace::regnamespace::text !~ '^pg_' AND oid >= 16384"
_WORLD = {
    "prey": "SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM prey t",
    "brood": "SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM brood t",
    "bait": "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM bait t",
    "tally": "SELECT last_value, is_called FROM tally",
    "digest": "SELECT relispopulated FROM pg_class WHERE relname = 'digest'",
    "relations": f"""SELECT md5(string_agg(concat_ws('|', oid, relname, relkind,
        relpersistence, relowner, relrowsecurity, reloptions, relacl, relhastriggers),
        ' ' ORDER BY oid)) FROM pg_class WHERE {_OF_USERS}""",
    "columns": f"""SELECT md5(string_agg(concat_ws('|', attrelid, attname, atttypid,
        atttypmod, attnotnull, attisdropped), ' ' ORDER BY attrelid, attnum))
        FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class
        WHERE {_OF_USERS})""",
    "rules": "SELECT md5(string_agg(ev_action::text, '' ORDER BY oid)) FROM pg_rewrite "
    "WHERE oid >= 16384",
    "functions": """SELECT md5(string_agg(concat(proname, prosrc, proowner, proacl),
        ' ' ORDER BY oid)) FROM pg_proc WHERE oid >= 16384""",
    "triggers": "SELECT md5(string_agg(concat(tgname, tgenabled), ' ' ORDER BY oid)) "
    "FROM pg_trigger",
    "large objects": """SELECT md5(string_agg(concat_ws('|', m.oid, lomowner, lomacl,
        lo_get(m.oid)), ' ' ORDER BY m.oid)) FROM pg_largeobject_metadata m""",
    "roles": """SELECT md5(string_agg(concat_ws('|', rolname, rolsuper, rolcanlogin),
        ' ' ORDER BY oid)) FROM pg_authid""",
    "members": "SELECT count(*) FROM pg_auth_members",
    "stored": "SELECT md5(string_agg(s::text, '|' ORDER BY s::text)) "
    "FROM pg_db_role_setting s",
    "databases": "SELECT string_agg(datname, ',' ORDER BY oid) FROM pg_database",
    "configuration": "SELECT count(*) FROM pg_file_settings "
    "WHERE sourcefile ~ 'auto.conf'",
    "slots": "SELECT count(*) FROM pg_replication_slots",
    "prepared": "SELECT count(*) FROM pg_prepared_xacts",
    "file": "SELECT (pg_stat_file('<FILE>', true)).size",
    **{
        table: f"SELECT count(*) FROM {table}"
        for table in (  # noqa: SIM905 - twenty words
            "pg_namespace pg_type pg_constraint pg_extension pg_policy pg_operator "
            "pg_cast pg_collation pg_description pg_default_acl pg_event_trigger "
            "pg_publication pg_foreign_server pg_foreign_data_wrapper pg_statistic_ext "
            "pg_index pg_seclabel pg_user_mapping pg_tablespace pg_subscription"
        ).split()
    },
}
CLEAR = """
    DO $clear$ DECLARE item text; BEGIN
        FOR item IN
            SELECT format('EXTENSION %I', extname) FROM pg_extension
                WHERE extname <> 'plpgsql'
            UNION ALL SELECT format('EVENT TRIGGER %I', evtname) FROM pg_event_trigger
            UNION ALL SELECT format('PUBLICATION %I', pubname) FROM pg_publication
            UNION ALL SELECT format('FOREIGN DATA WRAPPER %I', fdwname)
                FROM pg_foreign_data_wrapper
            UNION ALL SELECT format('SCHEMA %I', nspname) FROM pg_namespace
                WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        LOOP
            BEGIN
                EXECUTE format('DROP %s CASCADE', item);
            EXCEPTION WHEN undefined_object OR undefined_table THEN NULL;
            END;
        END LOOP;
        PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
        DELETE FROM pg_default_acl;
        EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
    END $clear$;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
"""Empties a database without making it anew, which takes ten times as long."""

World = dict[str, object]


@dataclass(frozen=True)
class Attack:
    """One attack; see the head of the corpus for what each field means."""

    group: str
    number: int
    sql: tuple[str, ...]
    setup: str = ""
    check: str = ""
    probe: str = ""
    leaks: bool = False
    victim: bool = False
    read_only: bool = False
    majors: tuple[int, ...] = ALL_MAJORS
    undo: str = ""
    stopped_by: str = "a"
    why: str = ""
    skip_bare: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.group}-{self.number}"


def _attack(group: str, number: int, entry: str | dict[str, Any]) -> Attack:
    fields: dict[str, Any] = {"sql": entry} if isinstance(entry, str) else dict(entry)
    texts = fields.pop("sql")
    fields["sql"] = (texts,) if isinstance(texts, str) else tuple(texts)
    fields["majors"] = tuple(fields.get("majors", ALL_MAJORS))
    return Attack(group, number, **fields)


def load() -> tuple[str, list[Attack]]:
    """The common setup, and every attack."""
    document = yaml.safe_load(CORPUS.read_text("utf-8"))
    setup: str = document.pop("setup")
    return setup, [
        _attack(group, number, entry)
        for group, entries in document.items()
        for number, entry in enumerate(entries, 1)
    ]


@dataclass(frozen=True)
class Place:
    """What the corpus leaves open: where the attacked database is."""

    dsn: str
    file: str

    def fill(self, text: str) -> str:
        """The text with its placeholders filled."""
        parts = conninfo.conninfo_to_dict(self.dsn)
        values = {
            "<FILE>": self.file,
            "<DSN>": conninfo.make_conninfo(self.dsn),
            "<DB>": str(parts["dbname"]),
            "<PORT>": str(parts["port"]),
            "<PASSWORD>": str(parts["password"]),
        }
        for mark, value in values.items():
            text = text.replace(mark, value)
        return text


def world(superuser: Session, place: Place, check: str = "") -> World:
    """All that can be looked at, by name; an error is an answer as well."""
    queries = _WORLD | ({"check": check} if check else {})
    found: World = {}
    for name, query in queries.items():
        answer = superuser.simple(place.fill(query))
        found[name] = answer.sqlstate or answer.rows
    return found


def changes(before: World, after: World) -> dict[str, tuple[object, object]]:
    """What is different, by name."""
    return {
        name: (was, after[name]) for name, was in before.items() if after[name] != was
    }
