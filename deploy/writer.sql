-- The upstream role that pgwarden lends for minutes, beside the two of deploy/roles.sql,
-- which has to have run before. It changes rows of your tables; no TRUNCATE, nothing of
-- the schema. Run by psql as a superuser:
--
--   psql -d app -v owner=app_owner \
--        -v writer_secret="$(pgwarden identity secret < writer.password)" \
--        -f deploy/writer.sql
--
-- `owner` owns the tables, as there. Run it again for a new password, or after tables came
-- that somebody else than the owner has made. To take the role back: DROP OWNED BY
-- pgwarden_writer; DROP ROLE pgwarden_writer.
--   -v writer=NAME    another name than pgwarden_writer
--
-- `pgwarden doctor --fix-sql` prints this file behind deploy/roles.sql, where the policy
-- lends a role and the settings have its login.
\set ON_ERROR_STOP on
\if :{?writer}
\else
  \set writer pgwarden_writer
\endif
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'writer') AS create_writer,
       CASE
         WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner')
         THEN 'there is no such role as the owner: name the one that owns your tables'
         -- A name that is something else already must not be lent.
         WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = :'writer'
                      AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication))
         THEN 'that role exists and may do more than change rows'
         WHEN :'writer_secret' !~ '^SCRAM-SHA-256[$]'
         THEN 'the secret is not what `pgwarden identity secret` prints: is it on the PATH?'
       END AS problem
\gset
\if :{?problem}
  SELECT format('DO $$ BEGIN RAISE EXCEPTION %L; END $$', :'problem')
  \gexec
\endif
\if :create_writer
  CREATE ROLE :"writer";
\endif

ALTER ROLE :"writer" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS NOINHERIT PASSWORD :'writer_secret';
-- What it has changed stays locked until its transaction ends.
ALTER ROLE :"writer" SET idle_in_transaction_session_timeout = '5min';
SELECT current_database() AS database
\gset
GRANT CONNECT ON DATABASE :"database" TO :"writer";

-- What is there now, in every schema of yours ...
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, :'writer'),
       format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I',
              nspname, :'writer'),
       format('GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', nspname, :'writer')
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
\gexec
-- ... and what migrations will add.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"writer";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"writer";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT, USAGE ON SEQUENCES TO :"writer";

COMMIT;
