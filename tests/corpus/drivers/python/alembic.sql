SET ROLE pgwarden_migrator;
CREATE TABLE alembic_version (
    version_num varchar(32) PRIMARY KEY
);
INSERT INTO alembic_version VALUES ('0a1b2c');
RESET ROLE;
