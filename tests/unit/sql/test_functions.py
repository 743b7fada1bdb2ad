from __future__ import annotations

import re
from importlib.resources import files

import pytest

from proxy.sql.facts import Effect
from proxy.sql.functions import EFFECTS, HARMLESS, KNOWN, use_of


def test_a_function_is_harmless_or_not() -> None:
    assert not HARMLESS & set(EFFECTS)
    assert len(HARMLESS) > 2000
    assert Effect.NONE not in EFFECTS.values()
    assert Effect.UNKNOWN not in EFFECTS.values()


OF_THE_CATALOG = {Effect.STABLE, Effect.VOLATILE, Effect.DEFINER}


@pytest.mark.parametrize(
    "effect", sorted(set(Effect) - {Effect.NONE, Effect.UNKNOWN} - OF_THE_CATALOG)
)
def test_every_effect_has_members(effect: Effect) -> None:
    assert effect in EFFECTS.values()


def test_every_effect_has_a_reason() -> None:
    text = (files("proxy.sql") / "data" / "effects.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    assert all(re.match(r"\w+ \w+ \S", line) for line in lines)
    names = [line.split()[1] for line in lines]
    assert len(names) == len(set(names))


# What psql's \d+, pg_dump, Prisma and common ORMs call.
NEEDED = """
    pg_get_viewdef pg_get_indexdef pg_get_constraintdef pg_get_functiondef pg_get_expr
    pg_get_triggerdef pg_get_ruledef pg_get_userbyid pg_get_serial_sequence
    pg_get_function_arguments pg_get_function_result pg_get_partkeydef
    pg_get_statisticsobjdef_columns pg_get_keywords format_type obj_description
    col_description shobj_description pg_table_is_visible pg_type_is_visible
    pg_function_is_visible array_to_string array_agg string_agg pg_relation_size
    pg_total_relation_size pg_size_pretty pg_table_size pg_database_size
    has_table_privilege has_schema_privilege has_column_privilege pg_has_role
    has_database_privilege current_setting version current_schema current_schemas
    current_database now count sum lower upper pg_backend_pid
    pg_is_in_recovery pg_encoding_to_char pg_char_to_encoding to_regclass currval
    lastval
    pg_sequence_last_value aclexplode acldefault unnest generate_series quote_ident
    pg_relation_is_publishable pg_partition_ancestors pg_partition_tree random
    clock_timestamp gen_random_uuid jsonb_agg jsonb_build_object row_to_json to_jsonb
    pg_advisory_unlock_all pg_stat_clear_snapshot pg_blocking_pids pg_options_to_table
"""


@pytest.mark.parametrize("name", NEEDED.split())
def test_what_tools_need_is_harmless(name: str) -> None:
    assert use_of("", name).effect is Effect.NONE
    assert use_of("pg_catalog", name).effect is Effect.NONE


# guards.md, section 7, group by group.
HARMFUL = """
    nextval setval lo_creat lo_create lo_from_bytea lo_put lo_unlink lowrite
    lo_truncate lo_truncate64 lo_import lo_export pg_logical_emit_message
    pg_switch_wal pg_create_restore_point pg_create_physical_replication_slot
    pg_create_logical_replication_slot pg_copy_physical_replication_slot
    pg_drop_replication_slot pg_replication_slot_advance pg_logical_slot_get_changes
    pg_replication_origin_create pg_backup_start pg_backup_stop pg_promote
    pg_wal_replay_pause pg_terminate_backend pg_cancel_backend pg_advisory_lock
    pg_try_advisory_lock pg_notify pg_import_system_collations
    pg_extension_config_dump binary_upgrade_set_next_pg_type_oid pg_nextoid
    pg_stop_making_pinned_objects brin_summarize_new_values brin_desummarize_range
    gin_clean_pending_list pg_truncate_visibility_map heap_force_kill pg_stat_reset
    pg_stat_statements_reset pg_stat_force_next_flush set_config pg_reload_conf
    pg_rotate_logfile txid_current pg_current_xact_id pg_export_snapshot pg_read_file
    pg_read_binary_file pg_stat_file pg_ls_dir pg_hba_file_rules
    pg_ident_file_mappings pg_show_all_file_settings pg_current_logfile pg_file_write
    pg_sleep pg_sleep_for pg_sleep_until query_to_xml query_to_xmlschema
    query_to_xml_and_xmlschema cursor_to_xml table_to_xml schema_to_xml
    database_to_xml ts_stat ts_rewrite crosstab connectby xpath_table dblink
    dblink_exec dblink_connect pg_restore_attribute_stats
"""


@pytest.mark.parametrize("name", HARMFUL.split())
def test_what_does_more_is_named(name: str) -> None:
    assert use_of("", name).effect not in {Effect.NONE, Effect.UNKNOWN}
    assert use_of("pg_catalog", name).effect not in {Effect.NONE, Effect.UNKNOWN}


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("", "no_such_function"),
        ("public", "lower"),
        ("", "Lower"),
        ("", "pg_catalog.lower"),
        ("PG_CATALOG", "lower"),
        ("information_schema", "lower"),
        ("", "textin_handler"),
        ("", "plpgsql_validator"),
        ("", "int4_accum_trigger"),
        ("", "suppress_redundant_updates_trigger"),
    ],
)
def test_any_other_name_is_unknown(schema: str, name: str) -> None:
    use = use_of(schema, name)
    assert (use.schema, use.name, use.effect) == (schema, name, Effect.UNKNOWN)


def test_each_known_use_says_its_own_name() -> None:
    others = {key for key, use in KNOWN.items() if (use.schema, use.name) != key}
    assert others == {("pg_catalog", "json_object")}  # the grammar's, not the user's
