-- What people query. A view's columns are a promise; the base tables behind it may change.

CREATE VIEW exchanges AS
  SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open;

CREATE VIEW open_exchanges AS SELECT * FROM exchanges_open;

CREATE VIEW messages AS
  SELECT hash, any_value(role) AS role, any_value(body) AS body, min(first_seen) AS first_seen FROM message_bodies GROUP BY hash;

CREATE VIEW prompt_versions AS
  WITH seen AS (
    SELECT prompt_hash AS hash, agent, min(started_at) AS first_seen, max(started_at) AS last_seen, count(*) AS exchanges
    FROM exchanges WHERE prompt_hash IS NOT NULL GROUP BY ALL
  ), bodies AS (
    SELECT hash, any_value(system) AS system, any_value(tools) AS tools FROM prompt_bodies GROUP BY hash
  )
  SELECT hash, agent, first_seen, last_seen, exchanges, system, tools FROM seen LEFT JOIN bodies USING (hash);

CREATE VIEW policy_versions AS
  WITH files AS (SELECT hash, list({'path': path, 'text': text} ORDER BY path) AS files FROM (SELECT DISTINCT * FROM policy_files) GROUP BY hash)
  SELECT hash, any_value(git) AS git, min(loaded_at) AS first_loaded, max(loaded_at) AS last_loaded, count(*) AS loads,
         any_value(files) AS files
  FROM policy_loads LEFT JOIN files USING (hash) GROUP BY hash;

-- OpenTelemetry GenAI names, dots as underscores. There input_tokens INCLUDES what was read from and written to a cache, and
-- output_tokens includes reasoning. Cost and security columns follow proposals that are not yet part of the conventions.
CREATE VIEW gen_ai_exchanges AS
  SELECT id, started_at AS start_time, started_at + to_microseconds(duration_us) AS end_time,
         operation AS gen_ai_operation_name, provider AS gen_ai_provider_name, request_model AS gen_ai_request_model,
         response_model AS gen_ai_response_model, response_id AS gen_ai_response_id, stream AS gen_ai_request_stream,
         temperature AS gen_ai_request_temperature, max_tokens AS gen_ai_request_max_tokens,
         finish_reasons AS gen_ai_response_finish_reasons, first_byte_us / 1e6 AS gen_ai_response_time_to_first_chunk,
         agent AS gen_ai_agent_id, session AS gen_ai_conversation_id, "user" AS user_id,
         input_tokens + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) + coalesce(cache_write_1h_tokens, 0)
           AS gen_ai_usage_input_tokens,
         output_tokens + coalesce(reasoning_tokens, 0) AS gen_ai_usage_output_tokens,
         cache_read_tokens AS gen_ai_usage_cache_read_input_tokens,
         coalesce(cache_write_tokens + cache_write_1h_tokens, cache_write_tokens, cache_write_1h_tokens)
           AS gen_ai_usage_cache_creation_input_tokens,
         reasoning_tokens AS gen_ai_usage_reasoning_output_tokens,
         cost AS gen_ai_usage_cost_amount, CASE WHEN cost IS NOT NULL THEN 'USD' END AS gen_ai_usage_cost_currency,
         status AS http_response_status_code, error_code AS error_type, state, calls, denied
  FROM exchanges;

CREATE VIEW gen_ai_tool_calls AS
  SELECT id, exchange_id, decided_at AS start_time, 'execute_tool' AS gen_ai_operation_name, name AS gen_ai_tool_name,
         type AS gen_ai_tool_type, call_id AS gen_ai_tool_call_id, arguments AS gen_ai_tool_call_arguments,
         agent AS gen_ai_agent_id, session AS gen_ai_conversation_id, effect AS gen_ai_security_verdict, released,
         policy AS gen_ai_security_policy, rule AS gen_ai_security_policy_rule_id, reason
  FROM calls;

CREATE VIEW cost_daily AS
  SELECT started_at::DATE AS day, agent, team, provider, coalesce(response_model, request_model) AS model, count(*) AS exchanges,
         sum(cost) AS cost, count(*) FILTER (cost IS NULL) AS unpriced, sum(input_tokens) AS input_tokens,
         sum(cache_read_tokens) AS cache_read_tokens, sum(output_tokens) AS output_tokens,
         sum(reasoning_tokens) AS reasoning_tokens, sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied
  FROM exchanges GROUP BY ALL;
