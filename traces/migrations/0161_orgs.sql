-- The organisation of the key that asked.

ALTER TABLE exchanges_ended ADD COLUMN org VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN org VARCHAR;

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

-- One day of one organisation and team: what was asked, what it cost, and about what that which has no exact cost.
CREATE VIEW org_daily AS
  SELECT started_at::DATE AS day, org, team, count(*) AS exchanges, sum(cost) AS cost,
         count(*) FILTER (cost IS NULL) AS unpriced, sum(estimated_cost) AS estimated_cost
  FROM exchanges GROUP BY ALL;
