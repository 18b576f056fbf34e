-- Policies, what they were asked about, and what nobody asked them about.

CREATE VIEW policy_versions AS
  WITH files AS (
    SELECT hash, list({'path': path, 'text': text} ORDER BY path) AS files FROM (SELECT DISTINCT * FROM policy_files) GROUP BY hash
  )
  SELECT hash, any_value(git) AS git, min(loaded_at) AS first_loaded, max(loaded_at) AS last_loaded, count(*) AS loads,
         any_value(files) AS files
  FROM policy_loads LEFT JOIN files USING (hash) GROUP BY hash;

CREATE VIEW policy_rules AS SELECT DISTINCT * FROM policy_rules_loaded;

-- The rules of the version loaded last, with what they did under any version: a rule is the same while its policy and id are.
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

-- What was judged, day by day and route by route.
CREATE VIEW coverage_daily AS
  SELECT day, route, dialect, stream, 'request' AS hook, sum(exchanges)::BIGINT AS exchanges,
         coalesce(sum(exchanges) FILTER (request_judged), 0)::BIGINT AS judged,
         coalesce(sum(exchanges) FILTER (NOT request_judged), 0)::BIGINT AS unevaluated,
         coalesce(sum(exchanges) FILTER (state = 'rejected'), 0)::BIGINT AS refused, 0::BIGINT AS with_calls, 0::BIGINT AS calls,
         0::BIGINT AS denied, coalesce(sum(exchanges) FILTER (enforcing), 0)::BIGINT AS enforcing, min(first_seen) AS first_seen,
         max(last_seen) AS last_seen
  FROM exchange_sums GROUP BY ALL HAVING sum(exchanges) <> 0
  UNION ALL
  SELECT day, route, dialect, stream, 'tool_call', sum(exchanges)::BIGINT,
         coalesce(sum(exchanges) FILTER (answer_judged AND state IN ('complete', 'denied')), 0)::BIGINT,
         coalesce(sum(exchanges) FILTER (NOT answer_judged), 0)::BIGINT,
         coalesce(sum(exchanges) FILTER (state NOT IN ('complete', 'denied')), 0)::BIGINT, sum(with_calls)::BIGINT,
         sum(calls)::BIGINT, sum(denied)::BIGINT, coalesce(sum(exchanges) FILTER (enforcing), 0)::BIGINT, min(first_seen), max(last_seen)
  FROM exchange_sums WHERE operation IN ('chat', 'compact', 'retrieve', 'pass_through') GROUP BY ALL HAVING sum(exchanges) <> 0;

CREATE VIEW coverage AS
  SELECT route, dialect, stream, hook, sum(exchanges)::BIGINT AS exchanges, sum(judged)::BIGINT AS judged,
         sum(unevaluated)::BIGINT AS unevaluated, sum(refused)::BIGINT AS refused, sum(with_calls)::BIGINT AS with_calls,
         sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied, sum(enforcing)::BIGINT AS enforcing,
         min(first_seen) AS first_seen, max(last_seen) AS last_seen
  FROM coverage_daily GROUP BY ALL;

-- Routes with an id or a model in them are one route each, as in the sums (gateway/stores/sums.py).
CREATE VIEW coverage_reasons_daily AS
  WITH told AS (
    SELECT started_at, dialect, stream, id, unnest(unevaluated) AS reason,
           regexp_replace(regexp_replace(route, '/models/[^/:]+', '/models/{model}'),
             '/(responses|conversations)/(?:resp|conv|msg|[^/]*[0-9_-])[^/]*', '/\1/{id}') AS route
    FROM exchanges_ended WHERE len(unevaluated) > 0
  )
  SELECT started_at::DATE AS day, route, dialect, stream, reason, count(*) AS exchanges, max(started_at) AS last_seen,
         arg_max(id, started_at) AS latest
  FROM told GROUP BY ALL;

CREATE VIEW coverage_reasons AS
  SELECT route, dialect, stream, reason, sum(exchanges)::BIGINT AS exchanges, max(last_seen) AS last_seen,
         arg_max(latest, last_seen) AS latest
  FROM coverage_reasons_daily GROUP BY ALL;

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
    SELECT name, agent, min(first_seen) AS first_seen, sum(calls)::BIGINT AS calls, max(last_seen) AS last_called
    FROM call_sums GROUP BY ALL
  )
  SELECT coalesce(d.name, c.name) AS name, count(DISTINCT coalesce(d.agent, c.agent)) AS agents,
         coalesce(sum(d.prompts), 0)::BIGINT AS prompts, coalesce(sum(c.calls), 0)::BIGINT AS calls,
         min(least(coalesce(d.first_seen, c.first_seen), coalesce(c.first_seen, d.first_seen))) AS first_seen,
         max(c.last_called) AS last_called
  FROM declared AS d FULL JOIN called AS c ON c.name = d.name AND c.agent = d.agent
  WHERE coalesce(d.name, c.name) IS NOT NULL GROUP BY ALL;

-- A rule names a tool when a pattern of its other than a bare * matches it.
CREATE VIEW unnamed_tools AS
  SELECT t.* FROM tools_seen AS t
  WHERE NOT EXISTS (SELECT 1 FROM rules_in_force AS r WHERE NOT r.catch_all AND regexp_full_match(t.name, r.pattern));

-- As each stands now. A change may be on record twice.
CREATE VIEW approvals AS
  SELECT * FROM approval_changes
  QUALIFY row_number() OVER (PARTITION BY id ORDER BY change DESC) = 1;

-- As each stands now. A change may be on record twice. Of which organisation it is, says the exchange that stopped it.
CREATE VIEW stopped_sessions AS
  WITH e AS (SELECT id, org FROM exchanges_ended UNION ALL SELECT id, org FROM exchanges_open)
  SELECT s.* FROM session_changes AS s LEFT JOIN e ON e.id = s.exchange_id
  QUALIFY row_number() OVER (PARTITION BY s.session, s.agent, e.org, s.team, s."user" ORDER BY s.change DESC) = 1;
