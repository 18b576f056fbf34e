-- Every class of what is paid for; costs revised under later prices. What was recorded stays; views show the latest revision.

ALTER TABLE exchanges_ended ADD COLUMN audio_input_tokens BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN audio_cache_read_tokens BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN image_input_tokens BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN audio_output_tokens BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN image_output_tokens BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN web_searches BIGINT;
ALTER TABLE exchanges_ended ADD COLUMN service_tier VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN price_terms VARCHAR[];
ALTER TABLE exchanges_ended ADD COLUMN not_priced VARCHAR[];
ALTER TABLE exchanges_ended ADD COLUMN rounds BIGINT;
ALTER TABLE exchanges_open ADD COLUMN audio_input_tokens BIGINT;
ALTER TABLE exchanges_open ADD COLUMN audio_cache_read_tokens BIGINT;
ALTER TABLE exchanges_open ADD COLUMN image_input_tokens BIGINT;
ALTER TABLE exchanges_open ADD COLUMN audio_output_tokens BIGINT;
ALTER TABLE exchanges_open ADD COLUMN image_output_tokens BIGINT;
ALTER TABLE exchanges_open ADD COLUMN web_searches BIGINT;
ALTER TABLE exchanges_open ADD COLUMN service_tier VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN price_terms VARCHAR[];
ALTER TABLE exchanges_open ADD COLUMN not_priced VARCHAR[];
ALTER TABLE exchanges_open ADD COLUMN rounds BIGINT;
-- Which budgets counted an exchange, and for whom (`id=subject`); the template behind its prompt.
ALTER TABLE exchanges_ended ADD COLUMN budgets VARCHAR[];
ALTER TABLE exchanges_open ADD COLUMN budgets VARCHAR[];
ALTER TABLE exchanges_ended ADD COLUMN template_hash VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN template_hash VARCHAR;

-- A row says what it needs of its exchange, so that it may be applied before that exchange is.
CREATE TABLE cost_revisions (
  revision VARCHAR NOT NULL, revised_at TIMESTAMP NOT NULL, who VARCHAR, exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
  agent VARCHAR, team VARCHAR, provider VARCHAR, model VARCHAR, prompt_hash VARCHAR, recorded_cost DECIMAL(18,9), cost DECIMAL(18,9),
  price_version VARCHAR, price_model VARCHAR, not_priced VARCHAR[]
);
CREATE VIEW latest_cost_revisions AS
  SELECT * FROM cost_revisions QUALIFY row_number() OVER (PARTITION BY exchange_id ORDER BY revised_at DESC, revision DESC) = 1;

CREATE OR REPLACE VIEW exchanges AS
  SELECT e.* REPLACE (
    CASE WHEN r.exchange_id IS NULL THEN e.cost ELSE r.cost END AS cost,
    CASE WHEN r.exchange_id IS NULL THEN e.price_version ELSE r.price_version END AS price_version,
    CASE WHEN r.exchange_id IS NULL THEN e.price_model ELSE r.price_model END AS price_model,
    CASE WHEN r.exchange_id IS NULL THEN e.not_priced ELSE r.not_priced END AS not_priced)
  FROM (SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open) AS e
  LEFT JOIN latest_cost_revisions AS r ON r.exchange_id = e.id;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

CREATE OR REPLACE VIEW gen_ai_exchanges AS
  SELECT id, started_at AS start_time, started_at + to_microseconds(duration_us) AS end_time,
         operation AS gen_ai_operation_name, provider AS gen_ai_provider_name, request_model AS gen_ai_request_model,
         response_model AS gen_ai_response_model, response_id AS gen_ai_response_id, stream AS gen_ai_request_stream,
         temperature AS gen_ai_request_temperature, max_tokens AS gen_ai_request_max_tokens,
         finish_reasons AS gen_ai_response_finish_reasons, first_byte_us / 1e6 AS gen_ai_response_time_to_first_chunk,
         agent AS gen_ai_agent_id, session AS gen_ai_conversation_id, "user" AS user_id,
         input_tokens + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) + coalesce(cache_write_1h_tokens, 0)
           + coalesce(audio_input_tokens, 0) + coalesce(audio_cache_read_tokens, 0) + coalesce(image_input_tokens, 0)
           AS gen_ai_usage_input_tokens,
         output_tokens + coalesce(reasoning_tokens, 0) + coalesce(audio_output_tokens, 0) + coalesce(image_output_tokens, 0)
           AS gen_ai_usage_output_tokens,
         coalesce(cache_read_tokens + audio_cache_read_tokens, cache_read_tokens, audio_cache_read_tokens)
           AS gen_ai_usage_cache_read_input_tokens,
         coalesce(cache_write_tokens + cache_write_1h_tokens, cache_write_tokens, cache_write_1h_tokens)
           AS gen_ai_usage_cache_creation_input_tokens,
         reasoning_tokens AS gen_ai_usage_reasoning_output_tokens,
         cost AS gen_ai_usage_cost_amount, CASE WHEN cost IS NOT NULL THEN 'USD' END AS gen_ai_usage_cost_currency,
         status AS http_response_status_code, error_code AS error_type, state, calls, denied
  FROM exchanges;

-- What a revision changed of a sum; nothing where a cost was and stays unknown.
CREATE VIEW cost_changes AS
  SELECT started_at::DATE AS day, agent, team, provider, model, prompt_hash, started_at,
         CASE WHEN cost IS NOT NULL OR recorded_cost IS NOT NULL THEN coalesce(cost, 0) - coalesce(recorded_cost, 0) END AS cost,
         (cost IS NULL)::BIGINT - (recorded_cost IS NULL)::BIGINT AS unpriced
  FROM latest_cost_revisions;

CREATE OR REPLACE VIEW cost_daily AS
  WITH parts AS (
    SELECT day, agent, team, provider, model, exchanges, cost, unpriced, input_tokens, cache_read_tokens, cache_write_tokens,
           cache_write_1h_tokens, output_tokens, reasoning_tokens, calls, denied
    FROM exchange_sums
    UNION ALL BY NAME
    SELECT started_at::DATE AS day, agent, team, provider, request_model AS model, 1 AS exchanges, 1 AS unpriced FROM exchanges_open
    UNION ALL BY NAME
    SELECT day, agent, team, provider, model, cost, unpriced, 0 AS exchanges FROM cost_changes
  )
  SELECT day, agent, team, provider, model, sum(exchanges)::BIGINT AS exchanges,
         CASE WHEN sum(unpriced) < sum(exchanges) THEN sum(cost) END AS cost, sum(unpriced)::BIGINT AS unpriced,
         sum(input_tokens)::BIGINT AS input_tokens, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
         sum(cache_write_tokens)::BIGINT AS cache_write_tokens, sum(cache_write_1h_tokens)::BIGINT AS cache_write_1h_tokens,
         sum(output_tokens)::BIGINT AS output_tokens, sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
         coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(denied), 0)::BIGINT AS denied
  FROM parts GROUP BY ALL HAVING sum(exchanges) <> 0;

CREATE OR REPLACE VIEW prompt_versions AS
  WITH parts AS (
    SELECT prompt_hash AS hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied FROM exchange_sums
    UNION ALL BY NAME
    SELECT prompt_hash AS hash, agent, started_at AS first_seen, started_at AS last_seen, 1 AS exchanges, 1 AS unpriced FROM exchanges_open
    UNION ALL BY NAME
    SELECT prompt_hash AS hash, agent, 0 AS exchanges, cost, unpriced FROM cost_changes
  ), seen AS (
    SELECT hash, agent, min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(exchanges)::BIGINT AS exchanges,
           CASE WHEN sum(unpriced) < sum(exchanges) THEN sum(cost) END AS cost, sum(unpriced)::BIGINT AS unpriced,
           coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(denied), 0)::BIGINT AS denied
    FROM parts WHERE hash IS NOT NULL GROUP BY ALL HAVING sum(exchanges) <> 0
  ), bodies AS (
    SELECT hash, any_value(system) AS system, any_value(tools) AS tools FROM content.main.prompt_bodies GROUP BY hash
  )
  SELECT hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied, system, tools FROM seen LEFT JOIN bodies USING (hash);
