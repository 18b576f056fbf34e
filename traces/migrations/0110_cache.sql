-- Answers that were given again: whether an exchange had one, whose it was, and what it saved.

ALTER TABLE exchanges_ended ADD COLUMN cache VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN cache VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN cached_from VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN cached_from VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN saved_cost DECIMAL(18,9);
ALTER TABLE exchanges_open ADD COLUMN saved_cost DECIMAL(18,9);

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

-- One day of one agent, team and model: how often an answer was looked for, found, and what that saved.
CREATE VIEW cache_daily AS
  SELECT started_at::DATE AS day, agent, team, provider, request_model AS model, count(*) AS looked,
         count(*) FILTER (cache = 'hit') AS hits, sum(saved_cost) AS saved_cost,
         count(*) FILTER (cache = 'hit' AND saved_cost IS NULL) AS unpriced
  FROM exchanges_ended WHERE cache IS NOT NULL GROUP BY ALL;
