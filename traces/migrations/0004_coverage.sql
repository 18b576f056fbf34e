-- What was judged, route by route; which rules speak, and which tools nobody speaks about.

CREATE TABLE policy_rules_loaded (
  hash VARCHAR NOT NULL, policy VARCHAR NOT NULL, rule VARCHAR NOT NULL, kind VARCHAR NOT NULL, effect VARCHAR, mode VARCHAR,
  tools VARCHAR[], pattern VARCHAR, catch_all BOOLEAN, file VARCHAR, line BIGINT
);

CREATE VIEW policy_rules AS SELECT DISTINCT * FROM policy_rules_loaded;

-- The rules of the version loaded last, with what they did under any version: a rule is the same while its policy and id are.
CREATE VIEW rules_in_force AS
  WITH latest AS (SELECT arg_max(hash, loaded_at) AS hash FROM policy_loads),
  fired AS (
    SELECT policy, rule, CASE WHEN rule = 'allow' THEN line END AS line, count(*) AS hits, max(decided_at) AS last_fired
    FROM rule_hits WHERE rule <> 'default' GROUP BY ALL
  )
  SELECT r.policy, r.rule, r.kind, r.effect, r.mode, r.tools, r.pattern, r.catch_all, r.file, r.line,
         coalesce(f.hits, 0) AS hits, f.last_fired
  FROM policy_rules AS r JOIN latest USING (hash)
  LEFT JOIN fired AS f ON f.policy = r.policy AND f.rule = r.rule AND (r.kind = 'guard' OR f.line = r.line);

-- Routes with an id or a model in them are one route each.
CREATE VIEW coverage AS
  WITH asked AS (
    SELECT *, regexp_replace(regexp_replace(route, '/models/[^/:]+', '/models/{model}'),
             '/(responses|conversations)/(?:resp|conv|msg|[^/]*[0-9_-])[^/]*', '/\1/{id}') AS path,
           list_filter(unevaluated, lambda x: NOT starts_with(x, 'answer:')) AS request_reasons,
           list_filter(unevaluated, lambda x: starts_with(x, 'answer:') OR x IN ('no_policy', 'route:pass_through')) AS answer_reasons
    FROM exchanges_ended
  )
  SELECT path AS route, dialect, stream, 'request' AS hook, count(*) AS exchanges,
         count(*) FILTER (len(request_reasons) = 0) AS judged, count(*) FILTER (len(request_reasons) > 0) AS unevaluated,
         count(*) FILTER (state = 'rejected') AS refused, 0 AS with_calls, 0 AS calls, 0 AS denied,
         count(*) FILTER (enforcing) AS enforcing, min(started_at) AS first_seen, max(started_at) AS last_seen
  FROM asked GROUP BY ALL
  UNION ALL
  SELECT path, dialect, stream, 'tool_call', count(*),
         count(*) FILTER (len(answer_reasons) = 0 AND state IN ('complete', 'denied')), count(*) FILTER (len(answer_reasons) > 0),
         count(*) FILTER (state NOT IN ('complete', 'denied')), count(*) FILTER (calls > 0), sum(calls)::BIGINT, sum(denied)::BIGINT,
         count(*) FILTER (enforcing), min(started_at), max(started_at)
  FROM asked WHERE operation IN ('chat', 'compact', 'retrieve', 'pass_through') GROUP BY ALL;

CREATE VIEW coverage_reasons AS
  WITH told AS (SELECT route, dialect, stream, id, started_at, unnest(unevaluated) AS reason FROM exchanges_ended)
  SELECT route, dialect, stream, reason, count(*) AS exchanges, max(started_at) AS last_seen, arg_max(id, started_at) AS latest
  FROM told GROUP BY ALL;

CREATE VIEW tools_seen AS
  WITH told AS (
    SELECT p.agent, p.first_seen, unnest(from_json(p.tools, '["JSON"]')) AS tool FROM prompt_bodies AS p WHERE p.tools LIKE '[%'
  ), declared AS (
    SELECT coalesce(tool->>'$.function.name', tool->>'$.custom.name', tool->>'$.name', tool->>'$.type') AS name, agent,
           min(first_seen) AS first_seen, count(*) AS prompts
    FROM told GROUP BY ALL
  ), called AS (
    SELECT name, agent, min(decided_at) AS first_seen, count(*) AS calls, max(decided_at) AS last_called FROM calls GROUP BY ALL
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
