-- Which budgets counted an exchange, and for whom.

ALTER TABLE exchanges_ended ADD COLUMN budgets VARCHAR[];
ALTER TABLE exchanges_open ADD COLUMN budgets VARCHAR[];

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

CREATE TABLE budget_resets (
  id VARCHAR NOT NULL, reset_at TIMESTAMP NOT NULL, who VARCHAR, budget VARCHAR NOT NULL, subject VARCHAR, why VARCHAR
);

-- One day of one budget and subject, as the book has it; what is left of a budget is known by the state store (tollhouse budgets show).
CREATE VIEW budget_use AS
  WITH told AS (
    SELECT unnest(budgets) AS which, started_at, cost, error_code, calls,
           coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) + coalesce(cache_write_1h_tokens, 0)
             + coalesce(audio_input_tokens, 0) + coalesce(audio_cache_read_tokens, 0) + coalesce(image_input_tokens, 0)
             + coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0) + coalesce(audio_output_tokens, 0)
             + coalesce(image_output_tokens, 0) AS tokens
    FROM exchanges WHERE len(budgets) > 0
  )
  SELECT started_at::DATE AS day, split_part(which, '=', 1) AS budget, substr(which, strpos(which, '=') + 1) AS subject,
         count(*) FILTER (error_code IS DISTINCT FROM 'budget_exceeded') AS requests,
         count(*) FILTER (error_code = 'budget_exceeded') AS refused, sum(cost) AS cost, sum(tokens)::BIGINT AS tokens,
         sum(calls)::BIGINT AS calls, max(started_at) AS latest
  FROM told GROUP BY ALL;
