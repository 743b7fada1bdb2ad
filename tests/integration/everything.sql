-- One of each kind of object that a schema digest tells of, as PostgreSQL 15 takes it.
CREATE SCHEMA app;
CREATE SCHEMA "Odd Name";
CREATE EXTENSION pg_trgm SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE app.mood ADD VALUE 'fine' BEFORE 'happy';
CREATE DOMAIN app.email AS text DEFAULT 'nobody@example.org' NOT NULL
    CONSTRAINT looks_right CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE TYPE app.address AS (street text, zip varchar(10), "Floor" int);
CREATE TYPE app.span AS RANGE (subtype = timestamptz);
CREATE TYPE app.shell;
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE SEQUENCE app.tickets AS int START 100 INCREMENT 5 MINVALUE 10 MAXVALUE 90000 CACHE 3 CYCLE;
CREATE FUNCTION app.double(n int DEFAULT 2, VARIADIC more int[] DEFAULT '{}') RETURNS int
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT n * 2 $$;
CREATE FUNCTION app.standard(n int) RETURNS int LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT n + 1; SELECT (n * 2) + 3; END;
CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = app, pg_temp AS $$ BEGIN NEW.changed := now(); RETURN NEW; END $$;
CREATE FUNCTION app.pairs(OUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql ROWS 7 COST 33
    AS $$ SELECT 1, 'x' $$;
CREATE PROCEDURE app.tidy(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
CREATE FUNCTION app.add_up(state bigint, n int) RETURNS bigint LANGUAGE sql AS 'SELECT state + n';
CREATE AGGREGATE app.total(int) (sfunc = app.add_up, stype = bigint, initcond = '0');
CREATE TABLE app.customer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email app.email UNIQUE,
    name varchar(80) COLLATE "C" NOT NULL,
    mood app.mood DEFAULT 'ok',
    "json" jsonb DEFAULT '{"a": [1, 2]}'::jsonb,
    "system_user" text,
    home app.address,
    joined timestamptz DEFAULT now() NOT NULL,
    born date DEFAULT '2000-01-01',
    since timestamptz DEFAULT '2020-02-03 04:05:06+02',
    pause interval DEFAULT '1 day 02:00',
    price money DEFAULT 12.5,
    data bytea DEFAULT '\x00ff',
    rate numeric(10, 2) DEFAULT -1.50,
    ratio double precision DEFAULT 0.1,
    changed timestamptz,
    gone int,
    score int GENERATED ALWAYS AS (length(name) * 2) STORED,
    status varchar(20) DEFAULT 'new' CHECK (status IN ('new', 'old', 'it''s')),
    age int CONSTRAINT sane CHECK (age BETWEEN 0 AND 150 AND age <> 77 OR age IS NULL)
);
ALTER TABLE app.customer DROP COLUMN gone;
ALTER TABLE app.customer ADD COLUMN late text DEFAULT 'x';
CREATE TABLE app.orders (
    id serial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES app.customer ON DELETE CASCADE ON UPDATE SET NULL
        DEFERRABLE INITIALLY DEFERRED,
    during tstzrange,
    note text CONSTRAINT named_not_null NOT NULL,
    tags text[] DEFAULT ARRAY['a', 'b'],
    place point,
    UNIQUE NULLS NOT DISTINCT (customer, note),
    EXCLUDE USING gist (during WITH &&) WHERE (id > 5)
);
ALTER TABLE app.orders ADD CONSTRAINT later CHECK (id > 0) NOT VALID;
CREATE UNLOGGED TABLE app.scratch (a int, b int, PRIMARY KEY (b, a));
CREATE TABLE app.child (extra int) INHERITS (app.scratch);
CREATE TABLE app.events (at timestamptz NOT NULL, kind int, customer bigint REFERENCES app.customer)
    PARTITION BY RANGE (at);
CREATE TABLE app.events_2026 PARTITION OF app.events
    FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
CREATE TABLE app.events_old (at timestamptz NOT NULL, kind int, customer bigint);
ALTER TABLE app.events ATTACH PARTITION app.events_old FOR VALUES FROM (MINVALUE) TO ('2025-01-01 00:00+00');
CREATE INDEX events_kind ON app.events (kind, at DESC);
CREATE INDEX customer_lower ON app.customer (lower(name) text_pattern_ops, age DESC NULLS LAST)
    INCLUDE (joined) WHERE status = 'new' AND (age > 3 OR age IS NULL);
CREATE INDEX customer_trgm ON app.customer USING gin (name app.gin_trgm_ops);
CREATE INDEX orders_tags ON app.orders USING gin (tags) WITH (fastupdate = off);
CREATE INDEX customer_sum ON app.customer ((age + score), (name || 'x'));
CREATE UNIQUE INDEX customer_note ON app.orders (note COLLATE "C");
CREATE STATISTICS app.customer_both (dependencies, mcv) ON name, age FROM app.customer;
CREATE VIEW app.one AS SELECT id, name, c.json, upper(name) AS loud, (home).zip,
    CASE WHEN age > 3 THEN 'old' ELSE 'young' END AS word
    FROM app.customer c WHERE status IN ('new', 'old') AND age BETWEEN 1 AND 99 AND name LIKE 'a%';
CREATE VIEW app.two WITH (security_barrier) AS
    SELECT c.name, count(*) AS n, sum(o.id) FILTER (WHERE o.note <> '') AS s
    FROM app.customer c LEFT JOIN app.orders o ON o.customer = c.id
    GROUP BY c.name HAVING count(*) > 1 ORDER BY 2 DESC NULLS LAST LIMIT 10;
CREATE VIEW app.three AS
    WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100)
    SELECT n, row_number() OVER (PARTITION BY n % 2 ORDER BY n) AS r FROM t
    WHERE EXISTS (SELECT 1 FROM app.orders WHERE orders.id = t.n);
CREATE VIEW app.four AS SELECT * FROM app.customer JOIN (SELECT id, note FROM app.orders) x USING (id);
CREATE VIEW app.five AS SELECT id FROM app.customer UNION SELECT id FROM app.orders ORDER BY 1;
CREATE VIEW app.six AS SELECT g, g * 2 AS h FROM generate_series(1, 3) g;
CREATE VIEW app.seven AS SELECT DISTINCT ON (name) name, age, extract(year FROM joined) AS y,
    current_date AS today, ARRAY(SELECT o.id FROM app.orders o WHERE o.customer = customer.id) AS ids
    FROM app.customer ORDER BY name, age;
CREATE VIEW app.eight WITH (security_invoker = true, check_option = local) AS
    SELECT * FROM app.scratch WHERE a > 0;
CREATE MATERIALIZED VIEW app.counted AS
    SELECT mood, count(*) AS n FROM app.customer GROUP BY mood WITH NO DATA;
CREATE UNIQUE INDEX counted_mood ON app.counted (mood);
CREATE TRIGGER stamped BEFORE INSERT OR UPDATE OF name, age ON app.customer
    FOR EACH ROW WHEN (NEW.age > 3) EXECUTE FUNCTION app.stamp('a', 'b');
CREATE TRIGGER of_events AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.stamp();
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON app.orders DEFERRABLE
    FOR EACH ROW EXECUTE FUNCTION app.stamp();
CREATE RULE kept AS ON DELETE TO app.scratch WHERE old.a > 5 DO INSTEAD NOTHING;
ALTER TABLE app.customer ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.orders FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.customer AS RESTRICTIVE FOR UPDATE TO public
    USING (name = current_user) WITH CHECK (age > 0);
CREATE FUNCTION app.same(a app.address, b app.address) RETURNS boolean LANGUAGE sql IMMUTABLE
    AS $$ SELECT a.zip = b.zip $$;
CREATE OPERATOR app.=== (leftarg = app.address, rightarg = app.address, function = app.same, commutator = OPERATOR(app.===));
CREATE FUNCTION app.as_text(app.address) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).zip $$;
CREATE CAST (app.address AS text) WITH FUNCTION app.as_text(app.address) AS ASSIGNMENT;
CREATE OPERATOR FAMILY app.family USING btree;
CREATE OPERATOR CLASS app.backwards FOR TYPE int USING btree FAMILY app.family AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int4, int4);
CREATE TEXT SEARCH DICTIONARY app.stop (template = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION app.words (copy = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR asciiword WITH app.stop;
CREATE CONVERSION app.koi FOR 'KOI8R' TO 'UTF8' FROM koi8r_to_utf8;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host 'elsewhere');
CREATE FOREIGN TABLE app.remote (id int OPTIONS (name 'key'), t text) SERVER far OPTIONS (tab 'x', mode 'y');
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE TABLE "Odd Name"."Strange ""Table""" ("a b" int, "select" int, CHECK ("a b" > "select"));
CREATE TABLE app._prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL);
COMMENT ON TABLE app.customer IS 'who buys';
COMMENT ON COLUMN app.customer.name IS 'as they say it';
COMMENT ON FUNCTION app.stamp() IS 'sets changed';
COMMENT ON CONSTRAINT sane ON app.customer IS 'nobody is older';
