-- What a day cost, by whom; how targets did.

-- What was refused before a provider was asked costs nothing: no price of it is missing.

-- One day of one agent, team and model.
CREATE VIEW cost_daily AS
  WITH parts AS (
    SELECT day, agent, team, provider, model, exchanges, CASE WHEN state <> 'rejected' THEN exchanges ELSE 0 END AS asked, cost,
           CASE WHEN state <> 'rejected' THEN unpriced ELSE 0 END AS unpriced, input_tokens, cache_read_tokens, cache_write_tokens,
           cache_write_1h_tokens, output_tokens, reasoning_tokens, calls, denied
    FROM exchange_sums
    UNION ALL BY NAME
    SELECT started_at::DATE AS day, agent, team, provider, request_model AS model, 1 AS exchanges, 1 AS asked, 1 AS unpriced
    FROM exchanges_open
    UNION ALL BY NAME
    SELECT day, agent, team, provider, model, cost, unpriced, 0 AS exchanges, 0 AS asked FROM cost_changes
  )
  SELECT day, agent, team, provider, model, sum(exchanges)::BIGINT AS exchanges,
         CASE WHEN sum(unpriced) < sum(asked) THEN sum(cost) END AS cost, sum(unpriced)::BIGINT AS unpriced,
         sum(input_tokens)::BIGINT AS input_tokens, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
         sum(cache_write_tokens)::BIGINT AS cache_write_tokens, sum(cache_write_1h_tokens)::BIGINT AS cache_write_1h_tokens,
         sum(output_tokens)::BIGINT AS output_tokens, sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
         coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(denied), 0)::BIGINT AS denied
  FROM parts GROUP BY ALL HAVING sum(exchanges) <> 0;

-- One day of one organisation and team: what was asked, what it cost, and about what that which has no exact cost.
CREATE VIEW org_daily AS
  SELECT started_at::DATE AS day, org, team, count(*) AS exchanges, sum(cost) AS cost,
         count(*) FILTER (cost IS NULL AND state <> 'rejected') AS unpriced, sum(estimated_cost) AS estimated_cost
  FROM exchanges GROUP BY ALL;

-- One day of one budget and subject, as the book has it; what is left of a budget is known by the state store (tollhouse budgets show).
CREATE VIEW budget_use AS
  WITH told AS (
    SELECT unnest(budgets) AS which, started_at, cost, estimated_cost, error_code, calls,
           greatest(coalesce(attempts, 0), coalesce(rounds, 0), 1) AS asked, -- each asking of a provider is a request
           coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) + coalesce(cache_write_1h_tokens, 0)
             + coalesce(audio_input_tokens, 0) + coalesce(audio_cache_read_tokens, 0) + coalesce(image_input_tokens, 0)
             + coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0) + coalesce(audio_output_tokens, 0)
             + coalesce(image_output_tokens, 0) AS tokens
    FROM exchanges WHERE len(budgets) > 0
  )
  SELECT started_at::DATE AS day, split_part(which, '=', 1) AS budget, substr(which, strpos(which, '=') + 1) AS subject,
         coalesce(sum(asked) FILTER (error_code IS DISTINCT FROM 'budget_exceeded'), 0)::BIGINT AS requests,
         count(*) FILTER (error_code = 'budget_exceeded') AS refused, sum(cost) AS cost, sum(estimated_cost) AS estimated_cost,
         sum(tokens)::BIGINT AS tokens, sum(calls)::BIGINT AS calls, max(started_at) AS latest
  FROM told GROUP BY ALL;

-- One day of one agent, team and model: how often an answer was looked for, found, and what that saved.
CREATE VIEW cache_daily AS
  SELECT started_at::DATE AS day, agent, team, provider, request_model AS model, count(*) AS looked,
         count(*) FILTER (cache = 'hit') AS hits, sum(saved_cost) AS saved_cost,
         count(*) FILTER (cache = 'hit' AND saved_cost IS NULL) AS unpriced
  FROM exchanges_ended WHERE cache IS NOT NULL GROUP BY ALL;

-- One day of one target: how it was asked, and what came of it. Mirrors, which reach nobody, are in `mirrored` and `cost` alone.
CREATE VIEW targets AS
  SELECT started_at::DATE AS day, upstream, model, region, count(*) FILTER (kind <> 'mirror') AS attempts,
         count(*) FILTER (kind = 'mirror') AS mirrored, count(*) FILTER (kind = 'retry') AS retries,
         count(*) FILTER (kind = 'fallback') AS fallbacks, count(*) FILTER (fault IS NULL AND kind <> 'mirror') AS answered,
         count(*) FILTER (fault IS NOT NULL AND kind <> 'mirror') AS failed, count(*) FILTER (unsure AND kind <> 'mirror') AS unsure,
         max(fault) FILTER (kind <> 'mirror') AS a_fault,
         quantile_cont(first_byte_us, 0.5) FILTER (fault IS NULL AND kind <> 'mirror') / 1000 AS first_byte_p50_ms,
         quantile_cont(first_byte_us, 0.95) FILTER (fault IS NULL AND kind <> 'mirror') / 1000 AS first_byte_p95_ms, sum(cost) AS cost,
         max(started_at) AS latest
  FROM attempts GROUP BY ALL;
