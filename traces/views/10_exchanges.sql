-- Exchanges, at their latest cost.

CREATE VIEW latest_cost_revisions AS
  SELECT * FROM cost_revisions QUALIFY row_number() OVER (PARTITION BY exchange_id ORDER BY revised_at DESC, revision DESC) = 1;

-- What a revision changed of a sum; nothing where a cost was and stays unknown.
CREATE VIEW cost_changes AS
  SELECT started_at::DATE AS day, agent, team, provider, model, prompt_hash, started_at,
         CASE WHEN cost IS NOT NULL OR recorded_cost IS NOT NULL THEN coalesce(cost, 0) - coalesce(recorded_cost, 0) END AS cost,
         (cost IS NULL)::BIGINT - (recorded_cost IS NULL)::BIGINT AS unpriced
  FROM latest_cost_revisions;

CREATE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE VIEW open_exchanges AS SELECT * FROM exchanges_open;
