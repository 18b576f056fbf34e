-- What an exchange took, about, whose answer nobody heard to its end: its cost is not known, and budgets count this.

ALTER TABLE exchanges_ended ADD COLUMN estimated_cost DECIMAL(18,9);
ALTER TABLE exchanges_open ADD COLUMN estimated_cost DECIMAL(18,9);
ALTER TABLE exchanges_ended ADD COLUMN estimate VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN estimate VARCHAR;

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;
