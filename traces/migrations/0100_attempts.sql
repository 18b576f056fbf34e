-- How often targets of a route were asked for an exchange, and which of them was asked last.

ALTER TABLE exchanges_ended ADD COLUMN upstream_model VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN region VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN attempts BIGINT;
ALTER TABLE exchanges_open ADD COLUMN upstream_model VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN region VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN attempts BIGINT;

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

CREATE TABLE attempts (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, agent VARCHAR, ordinal BIGINT NOT NULL, upstream VARCHAR NOT NULL,
  model VARCHAR, region VARCHAR, kind VARCHAR NOT NULL, why VARCHAR, round BIGINT, waited_us BIGINT, first_byte_us BIGINT,
  duration_us BIGINT, status BIGINT, fault VARCHAR, retry_after_ms BIGINT, unsure BOOLEAN, answered BOOLEAN, read_tokens BIGINT,
  written_tokens BIGINT, cost DECIMAL(18,9)
);

-- One day of one target: how it was asked, and what came of it.
CREATE VIEW targets AS
  SELECT started_at::DATE AS day, upstream, model, region, count(*) FILTER (kind <> 'mirror') AS attempts,
         count(*) FILTER (kind = 'mirror') AS mirrored, count(*) FILTER (kind = 'retry') AS retries,
         count(*) FILTER (kind = 'fallback') AS fallbacks, count(*) FILTER (fault IS NULL) AS answered,
         count(*) FILTER (fault IS NOT NULL) AS failed, count(*) FILTER (unsure) AS unsure, max(fault) FILTER (fault IS NOT NULL) AS a_fault,
         quantile_cont(first_byte_us, 0.5) FILTER (fault IS NULL) / 1000 AS first_byte_p50_ms,
         quantile_cont(first_byte_us, 0.95) FILTER (fault IS NULL) / 1000 AS first_byte_p95_ms, sum(cost) AS cost,
         max(started_at) AS latest
  FROM attempts GROUP BY ALL;
