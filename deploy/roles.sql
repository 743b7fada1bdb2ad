-- The two roles pgwarden logs in with, for one database. Run by psql as a superuser:
--
--   psql -d app -v owner=app_owner \
--        -v reader_secret="$(pgwarden identity secret < reader.password)" \
--        -v migrator_secret="$(pgwarden identity secret < migrator.password)" \
--        -f deploy/roles.sql
--
-- For a role of each person beside these: deploy/person.sql.
-- `owner` owns the tables: not a superuser. For another database of the same server run
-- it again; roles that exist are kept, their passwords are set anew.
\set ON_ERROR_STOP on
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgwarden_reader') AS create_reader,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgwarden_migrator') AS create_migrator,
       CASE
         WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner')
         THEN 'there is no such role as the owner: name the one that owns your tables'
         WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = :'owner')
         THEN 'the owner is a superuser: whoever acts as it could do anything. '
              'Give the tables to another role first (REASSIGN OWNED).'
         -- An empty one, of a command that was not found, would clear the password.
         WHEN :'reader_secret' !~ '^SCRAM-SHA-256[$]'
           OR :'migrator_secret' !~ '^SCRAM-SHA-256[$]'
         THEN 'a secret is not what `pgwarden identity secret` prints: is it on the PATH?'
       END AS problem
\gset
\if :{?problem}
  SELECT format('DO $$ BEGIN RAISE EXCEPTION %L; END $$', :'problem')
  \gexec
\endif
\if :create_reader
  CREATE ROLE pgwarden_reader;
\endif
\if :create_migrator
  CREATE ROLE pgwarden_migrator;
\endif

-- Lock (c): the role of developers' sessions holds SELECT and nothing else. Not by
-- membership in pg_read_all_data, which may also read pg_authid.
ALTER ROLE pgwarden_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS NOINHERIT PASSWORD :'reader_secret';
ALTER ROLE pgwarden_reader SET default_transaction_read_only = on;
ALTER ROLE pgwarden_reader SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE pgwarden_reader SET statement_timeout = '5min';

-- The deploy job acts as the owner, so that what it creates belongs to the same role as
-- everything else.
ALTER ROLE pgwarden_migrator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS PASSWORD :'migrator_secret';
GRANT :"owner" TO pgwarden_migrator;
SELECT current_database() AS database
\gset
ALTER ROLE pgwarden_migrator IN DATABASE :"database" SET role = :'owner';

GRANT CONNECT ON DATABASE :"database" TO pgwarden_reader, pgwarden_migrator;
GRANT CREATE ON DATABASE :"database" TO :"owner"; -- CREATE SCHEMA, trusted extensions
REVOKE TEMPORARY ON DATABASE :"database" FROM PUBLIC;
GRANT TEMPORARY ON DATABASE :"database" TO :"owner"; -- add the application's role
REVOKE CREATE ON SCHEMA public FROM PUBLIC; -- the default since PostgreSQL 15
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";

-- What is there now, in every schema of yours ...
SELECT format('GRANT USAGE ON SCHEMA %I TO pgwarden_reader', nspname),
       format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO pgwarden_reader', nspname),
       format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO pgwarden_reader', nspname)
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
\gexec
-- ... and what migrations will add.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO pgwarden_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON TABLES TO pgwarden_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON SEQUENCES TO pgwarden_reader;

COMMIT;

-- Worth doing by hand, once you know that your application does not rely on PUBLIC for
-- it: a READ ONLY transaction stops none of these on every version.
--   REVOKE EXECUTE ON FUNCTION pg_notify(text, text), lo_create(oid), lo_unlink(oid),
--       lo_from_bytea(oid, bytea), pg_terminate_backend(int, bigint),
--       pg_cancel_backend(int) FROM PUBLIC;
