-- What budgets have counted (exchanges say which of them, and for whom), and who has reset them.

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
