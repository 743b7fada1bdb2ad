SET ROLE pgwarden_migrator;
CREATE TABLE "SequelizeMeta" (name varchar(255) PRIMARY KEY);
INSERT INTO "SequelizeMeta" VALUES ('20240101-first.js');
RESET ROLE;
