-- The demo's shop: small, plausible, the same on every machine (nothing random, no clock).
-- Run by proxy/demo/sample.py in one transaction, as the migrator, who then owns all of it.

CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped', 'delivered', 'returned');

CREATE TABLE customers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    email       text NOT NULL UNIQUE,
    country     char(2) NOT NULL,
    preferences jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL
);

CREATE TABLE products (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku      text NOT NULL UNIQUE,
    name     text NOT NULL,
    category text NOT NULL,
    price    numeric(10, 2) NOT NULL CHECK (price > 0),
    stock    integer NOT NULL DEFAULT 0,
    tags     text[] NOT NULL DEFAULT '{}'
);

CREATE SEQUENCE invoice_number START 100000;

CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice     bigint NOT NULL UNIQUE DEFAULT nextval('invoice_number'),
    customer_id bigint NOT NULL REFERENCES customers (id),
    status      order_status NOT NULL DEFAULT 'new',
    placed_at   timestamptz NOT NULL,
    note        text
);

CREATE TABLE order_items (
    order_id   bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line       smallint NOT NULL,
    product_id bigint NOT NULL REFERENCES products (id),
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

INSERT INTO customers (name, email, country, preferences, created_at)
SELECT first || ' ' || last,
       lower(first) || '.' || lower(translate(last, 'øüñçé', 'ounce')) || n || '@example.com',
       (ARRAY['NO', 'DE', 'FR', 'ES', 'IT', 'NL', 'PL', 'US', 'CA', 'JP'])[1 + n % 10],
       jsonb_build_object('newsletter', n % 3 = 0, 'language', (ARRAY['en', 'de', 'fr', 'es'])[1 + n % 4]),
       timestamptz '2023-01-01 00:00:00+00' + n * interval '13 hours 7 minutes'
FROM generate_series(1, 1000) AS n,
     LATERAL (SELECT (ARRAY['Ada', 'Grace', 'Linus', 'Barbara', 'Ken', 'Margaret', 'Alan', 'Radia', 'Edsger', 'Frances',
                            'Donald', 'Hedy', 'Niklaus', 'Katherine', 'Tim', 'Joan', 'Dennis'])[1 + n % 17],
                     (ARRAY['Berg', 'Sørensen', 'Müller', 'Dubois', 'García', 'Rossi', 'de Vries', 'Kowalski', 'Nguyen', 'Okafor',
                            'Tanaka', 'Ibáñez', 'O''Brien'])[1 + n % 13]) AS person (first, last);

INSERT INTO products (sku, name, category, price, stock, tags)
SELECT 'SKU-' || lpad(n::text, 4, '0'),
       (ARRAY['Oak', 'Steel', 'Linen', 'Cork', 'Glass', 'Wool'])[1 + n % 6] || ' '
           || (ARRAY['lamp', 'chair', 'mug', 'notebook', 'blanket', 'clock', 'tray'])[1 + n % 7],
       (ARRAY['lighting', 'furniture', 'kitchen', 'office', 'home'])[1 + n % 5],
       (5 + (n * 37) % 240)::numeric + 0.95,
       (n * 53) % 400,
       CASE WHEN n % 4 = 0 THEN '{new,gift}' WHEN n % 4 = 1 THEN '{sale}' ELSE '{}' END::text[]
FROM generate_series(1, 120) AS n;

INSERT INTO orders (customer_id, status, placed_at, note)
SELECT 1 + (n * 7919) % 1000,
       (ARRAY['new', 'paid', 'shipped', 'delivered', 'delivered', 'delivered', 'returned'])[1 + n % 7]::order_status,
       timestamptz '2024-01-01 08:00:00+00' + n * interval '2 hours 41 minutes',
       CASE WHEN n % 25 = 0 THEN 'Please leave it with the neighbours.' END
FROM generate_series(1, 5000) AS n;

INSERT INTO order_items (order_id, line, product_id, quantity, unit_price)
SELECT o.id, line, p.id, 1 + (o.id + line) % 4, p.price
FROM orders AS o,
     generate_series(1, 1 + (o.id % 4)::int) AS line
     JOIN products AS p ON true
WHERE p.id = 1 + (o.id * 31 + line * 17) % 120;

CREATE INDEX orders_customer_id_idx ON orders (customer_id);
CREATE INDEX orders_open_idx ON orders (placed_at) WHERE status IN ('new', 'paid');
CREATE INDEX customers_lower_email_idx ON customers (lower(email));

CREATE FUNCTION order_total(wanted bigint) RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT coalesce(sum(quantity * unit_price), 0) FROM order_items WHERE order_id = wanted;
    END;

CREATE VIEW open_orders AS
    SELECT o.id, o.invoice, c.name AS customer, o.status, o.placed_at,
           sum(i.quantity * i.unit_price) AS total
    FROM orders AS o
    JOIN customers AS c ON c.id = o.customer_id
    JOIN order_items AS i ON i.order_id = o.id
    WHERE o.status IN ('new', 'paid')
    GROUP BY o.id, c.name;

CREATE MATERIALIZED VIEW monthly_revenue AS
    SELECT date_trunc('month', o.placed_at AT TIME ZONE 'UTC')::date AS month,
           count(DISTINCT o.id) AS orders, sum(i.quantity * i.unit_price) AS revenue
    FROM orders AS o
    JOIN order_items AS i ON i.order_id = o.id
    WHERE o.status <> 'returned'
    GROUP BY 1;
CREATE UNIQUE INDEX monthly_revenue_month_idx ON monthly_revenue (month);

COMMENT ON TABLE customers IS 'Who buys. Invented people.';
COMMENT ON TABLE orders IS 'One row an order; its lines are in order_items.';
COMMENT ON COLUMN order_items.unit_price IS 'The price on the day of the order, not today''s.';
