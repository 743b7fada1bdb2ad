SET ROLE pgwarden_migrator;
CREATE TABLE migrations (
    id serial PRIMARY KEY,
    timestamp bigint NOT NULL,
    name varchar NOT NULL
);
CREATE TABLE typeorm_metadata (
    type varchar NOT NULL, database varchar, schema varchar, "table" varchar,
    name varchar, value text
);
RESET ROLE;
