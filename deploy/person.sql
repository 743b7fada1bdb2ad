-- The upstream role of one identity, beside the two of deploy/roles.sql, which has to have
-- run before. For settings with `user: "pgw_{identity}"`. Run by psql as a superuser:
--
--   psql -d app -v person=pgw_ana \
--        -v secret="$(pgwarden identity secret < secrets/ana)" -f deploy/person.sql
--
-- Run it again for a new password. To take the role back: DROP OWNED BY pgw_ana; DROP ROLE
-- pgw_ana.
\set ON_ERROR_STOP on
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'person') AS create_person,
       CASE
         WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgwarden_reader')
         THEN 'there is no pgwarden_reader yet: run deploy/roles.sql first'
         -- A name that is something else already must not become a reader.
         WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = :'person'
                      AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication))
         THEN 'that role exists and may do more than read'
         WHEN :'secret' !~ '^SCRAM-SHA-256[$]'
         THEN 'the secret is not what `pgwarden identity secret` prints: is it on the PATH?'
       END AS problem
\gset
\if :{?problem}
  SELECT format('DO $$ BEGIN RAISE EXCEPTION %L; END $$', :'problem')
  \gexec
\endif
\if :create_person
  CREATE ROLE :"person";
\endif

-- It reads as a member of pgwarden_reader. Settings and limits are never inherited.
ALTER ROLE :"person" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS INHERIT PASSWORD :'secret';
GRANT pgwarden_reader TO :"person";
ALTER ROLE :"person" SET default_transaction_read_only = on;
ALTER ROLE :"person" SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE :"person" SET statement_timeout = '5min';

COMMIT;
