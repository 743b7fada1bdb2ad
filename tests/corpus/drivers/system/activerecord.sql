SET ROLE pgwarden_migrator;
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
INSERT INTO schema_migrations VALUES ('20240101000000');
CREATE TABLE ar_internal_metadata (
    key varchar PRIMARY KEY, value varchar,
    created_at timestamp NOT NULL, updated_at timestamp NOT NULL
);
INSERT INTO ar_internal_metadata VALUES
    ('environment', 'production', '2024-01-01', '2024-01-01');
RESET ROLE;
