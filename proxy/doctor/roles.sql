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
--   -v reader=NAME -v migrator=NAME    other names than pgwarden_reader, pgwarden_migrator
--   -v public_functions=revoke         take from PUBLIC the functions at the end, too
--
-- `pgwarden doctor --fix-sql` prints this file, `pgwarden doctor` tells what is missing.
\set ON_ERROR_STOP on
\if :{?reader}
\else
  \set reader pgwarden_reader
\endif
\if :{?migrator}
\else
  \set migrator pgwarden_migrator
\endif
BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'reader') AS create_reader,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'migrator') AS create_migrator,
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
@stop_at_problem@
\if :create_reader
  CREATE ROLE :"reader";
\endif
\if :create_migrator
  CREATE ROLE :"migrator";
\endif

-- Lock (c): the role of developers' sessions holds SELECT and nothing else. Not by
-- membership in pg_read_all_data, which may also read pg_authid.
ALTER ROLE :"reader" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS NOINHERIT PASSWORD :'reader_secret';
ALTER ROLE :"reader" SET default_transaction_read_only = on;
ALTER ROLE :"reader" SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE :"reader" SET statement_timeout = '5min';

-- The deploy job acts as the owner, so that what it creates belongs to the same role as
-- everything else.
ALTER ROLE :"migrator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    NOBYPASSRLS PASSWORD :'migrator_secret';
GRANT :"owner" TO :"migrator";
SELECT current_database() AS database
\gset
ALTER ROLE :"migrator" IN DATABASE :"database" SET role = :'owner';

GRANT CONNECT ON DATABASE :"database" TO :"reader", :"migrator";
GRANT CREATE ON DATABASE :"database" TO :"owner"; -- CREATE SCHEMA, trusted extensions
REVOKE TEMPORARY ON DATABASE :"database" FROM PUBLIC;
GRANT TEMPORARY ON DATABASE :"database" TO :"owner"; -- add the application's role
REVOKE CREATE ON SCHEMA public FROM PUBLIC; -- the default since PostgreSQL 15
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";

-- What is there now, in every schema of yours ...
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, :'reader'),
       format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', nspname, :'reader'),
       format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', nspname, :'reader')
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
\gexec
-- ... and what migrations will add.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON TABLES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON SEQUENCES TO :"reader";

-- Worth doing with -v public_functions=revoke, once you know that your application does
-- not rely on PUBLIC for it: a READ ONLY transaction stops none of these on every version.
\if :{?public_functions}
SELECT format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (
    @risky@)
\gexec
-- Migration tools take an advisory lock so that two deploys don't run at once.
SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I, %I', oid::regprocedure, :'owner', :'migrator')
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (
    @locking@)
\gexec
\endif

COMMIT;
