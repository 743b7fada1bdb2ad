SET ROLE pgwarden_migrator;
CREATE SCHEMA drizzle;
CREATE TABLE drizzle.__drizzle_migrations (
    id serial PRIMARY KEY, hash text NOT NULL, created_at bigint
);
RESET ROLE;
GRANT USAGE ON SCHEMA drizzle TO pgwarden_reader;
GRANT SELECT ON drizzle.__drizzle_migrations TO pgwarden_reader;
