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

CREATE VIEW gen_ai_tool_calls AS
  SELECT id, exchange_id, decided_at AS start_time, 'execute_tool' AS gen_ai_operation_name, name AS gen_ai_tool_name,
         type AS gen_ai_tool_type, call_id AS gen_ai_tool_call_id, arguments AS gen_ai_tool_call_arguments,
         agent AS gen_ai_agent_id, session AS gen_ai_conversation_id, effect AS gen_ai_security_verdict, released,
         policy AS gen_ai_security_policy, rule AS gen_ai_security_policy_rule_id, reason
  FROM calls;
