-- Sums by day, kept up to date as rows come in (gateway/stores/sums.py). What is asked over all time is asked of them.

CREATE TABLE exchange_sums (
  day DATE, agent VARCHAR, team VARCHAR, provider VARCHAR, model VARCHAR, dialect VARCHAR, route VARCHAR, stream BOOLEAN, operation VARCHAR,
  state VARCHAR, enforcing BOOLEAN, prompt_hash VARCHAR, request_judged BOOLEAN, answer_judged BOOLEAN,
  exchanges BIGINT, unpriced BIGINT, with_calls BIGINT, cost DECIMAL(38,9), input_tokens BIGINT, cache_read_tokens BIGINT,
  cache_write_tokens BIGINT, cache_write_1h_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT, calls BIGINT, denied BIGINT,
  first_seen TIMESTAMP, last_seen TIMESTAMP
);
CREATE TABLE call_sums (
  day DATE, agent VARCHAR, name VARCHAR, released BOOLEAN, calls BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP
);
CREATE TABLE rule_sums (
  day DATE, policy VARCHAR, rule VARCHAR, line BIGINT, hits BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP
);

DROP VIEW unnamed_tools;
DROP VIEW tools_seen;
DROP VIEW prompt_versions;
DROP VIEW cost_daily;
DROP VIEW coverage;
DROP VIEW coverage_reasons;
DROP VIEW rules_in_force;

CREATE VIEW cost_daily AS
  WITH parts AS (
    SELECT day, agent, team, provider, model, exchanges, cost, unpriced, input_tokens, cache_read_tokens, cache_write_tokens,
           cache_write_1h_tokens, output_tokens, reasoning_tokens, calls, denied
    FROM exchange_sums
    UNION ALL BY NAME
    SELECT started_at::DATE AS day, agent, team, provider, request_model AS model, 1 AS exchanges, 1 AS unpriced FROM exchanges_open
  )
  SELECT day, agent, team, provider, model, sum(exchanges)::BIGINT AS exchanges, sum(cost) AS cost, sum(unpriced)::BIGINT AS unpriced,
         sum(input_tokens)::BIGINT AS input_tokens, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
         sum(cache_write_tokens)::BIGINT AS cache_write_tokens, sum(cache_write_1h_tokens)::BIGINT AS cache_write_1h_tokens,
         sum(output_tokens)::BIGINT AS output_tokens, sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
         coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(denied), 0)::BIGINT AS denied
  FROM parts GROUP BY ALL HAVING sum(exchanges) <> 0;

CREATE VIEW prompt_versions AS
  WITH parts AS (
    SELECT prompt_hash AS hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied FROM exchange_sums
    UNION ALL BY NAME
    SELECT prompt_hash AS hash, agent, started_at AS first_seen, started_at AS last_seen, 1 AS exchanges, 1 AS unpriced FROM exchanges_open
  ), seen AS (
    SELECT hash, agent, min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(exchanges)::BIGINT AS exchanges,
           sum(cost) AS cost, sum(unpriced)::BIGINT AS unpriced, coalesce(sum(calls), 0)::BIGINT AS calls,
           coalesce(sum(denied), 0)::BIGINT AS denied
    FROM parts WHERE hash IS NOT NULL GROUP BY ALL HAVING sum(exchanges) <> 0
  ), bodies AS (
    SELECT hash, any_value(system) AS system, any_value(tools) AS tools FROM content.main.prompt_bodies GROUP BY hash
  )
  SELECT hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied, system, tools FROM seen LEFT JOIN bodies USING (hash);

CREATE VIEW rules_in_force AS
  WITH latest AS (SELECT arg_max(hash, loaded_at) AS hash FROM policy_loads),
  fired AS (
    SELECT policy, rule, line, sum(hits)::BIGINT AS hits, max(last_seen) AS last_fired
    FROM rule_sums WHERE rule <> 'default' GROUP BY ALL
  )
  SELECT r.policy, r.rule, r.kind, r.effect, r.mode, r.tools, r.pattern, r.catch_all, r.file, r.line,
         coalesce(f.hits, 0) AS hits, f.last_fired
  FROM policy_rules AS r JOIN latest USING (hash)
  LEFT JOIN fired AS f ON f.policy = r.policy AND f.rule = r.rule AND (r.kind = 'guard' OR f.line = r.line);

CREATE VIEW coverage AS
  SELECT route, dialect, stream, 'request' AS hook, sum(exchanges)::BIGINT AS exchanges,
         coalesce(sum(exchanges) FILTER (request_judged), 0)::BIGINT AS judged,
         coalesce(sum(exchanges) FILTER (NOT request_judged), 0)::BIGINT AS unevaluated,
         coalesce(sum(exchanges) FILTER (state = 'rejected'), 0)::BIGINT AS refused, 0 AS with_calls, 0 AS calls, 0 AS denied,
         coalesce(sum(exchanges) FILTER (enforcing), 0)::BIGINT AS enforcing, min(first_seen) AS first_seen, max(last_seen) AS last_seen
  FROM exchange_sums GROUP BY ALL HAVING sum(exchanges) <> 0
  UNION ALL
  SELECT route, dialect, stream, 'tool_call', sum(exchanges)::BIGINT,
         coalesce(sum(exchanges) FILTER (answer_judged AND state IN ('complete', 'denied')), 0)::BIGINT,
         coalesce(sum(exchanges) FILTER (NOT answer_judged), 0)::BIGINT,
         coalesce(sum(exchanges) FILTER (state NOT IN ('complete', 'denied')), 0)::BIGINT, sum(with_calls)::BIGINT,
         sum(calls)::BIGINT, sum(denied)::BIGINT, coalesce(sum(exchanges) FILTER (enforcing), 0)::BIGINT, min(first_seen), max(last_seen)
  FROM exchange_sums WHERE operation IN ('chat', 'compact', 'retrieve', 'pass_through') GROUP BY ALL HAVING sum(exchanges) <> 0;

CREATE VIEW coverage_reasons AS
  WITH told AS (
    SELECT route, dialect, stream, id, started_at, unnest(unevaluated) AS reason FROM exchanges_ended WHERE len(unevaluated) > 0
  )
  SELECT route, dialect, stream, reason, count(*) AS exchanges, max(started_at) AS last_seen, arg_max(id, started_at) AS latest
  FROM told GROUP BY ALL;

CREATE VIEW tools_seen AS
  WITH told AS (
    SELECT DISTINCT ON (p.hash, p.agent) p.agent, p.first_seen, from_json(p.tools, '["JSON"]') AS tools
    FROM content.main.prompt_bodies AS p WHERE p.tools LIKE '[%' ORDER BY p.first_seen
  ), each AS (
    SELECT agent, first_seen, unnest(tools) AS tool FROM told
  ), declared AS (
    SELECT coalesce(tool->>'$.function.name', tool->>'$.custom.name', tool->>'$.name', tool->>'$.type') AS name, agent,
           min(first_seen) AS first_seen, count(*) AS prompts
    FROM each GROUP BY ALL
  ), called AS (
    SELECT name, agent, min(first_seen) AS first_seen, sum(calls)::BIGINT AS calls, max(last_seen) AS last_called FROM call_sums GROUP BY ALL
  )
  SELECT coalesce(d.name, c.name) AS name, count(DISTINCT coalesce(d.agent, c.agent)) AS agents,
         coalesce(sum(d.prompts), 0)::BIGINT AS prompts, coalesce(sum(c.calls), 0)::BIGINT AS calls,
         min(least(coalesce(d.first_seen, c.first_seen), coalesce(c.first_seen, d.first_seen))) AS first_seen, max(c.last_called) AS last_called
  FROM declared AS d FULL JOIN called AS c ON c.name = d.name AND c.agent = d.agent
  WHERE coalesce(d.name, c.name) IS NOT NULL GROUP BY ALL;

-- A rule names a tool when a pattern of its other than a bare * matches it.
CREATE VIEW unnamed_tools AS
  SELECT t.* FROM tools_seen AS t
  WHERE NOT EXISTS (SELECT 1 FROM rules_in_force AS r WHERE NOT r.catch_all AND regexp_full_match(t.name, r.pattern));
