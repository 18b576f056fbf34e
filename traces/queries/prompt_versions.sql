-- title: Prompt versions by agent: when seen, how often, what they cost and how often a call was withheld
-- param: agent = %
WITH used AS (
  SELECT prompt_hash AS hash, agent, avg(cost) AS cost_per_exchange, sum(denied)::BIGINT AS withheld, sum(calls)::BIGINT AS calls
  FROM exchanges WHERE prompt_hash IS NOT NULL GROUP BY ALL
)
SELECT v.agent, v.hash, v.first_seen, v.last_seen, v.exchanges, round(u.cost_per_exchange, 6) AS cost_per_exchange,
       u.calls, u.withheld, left(v.system, 200) AS system
FROM prompt_versions AS v JOIN used AS u ON u.hash = v.hash AND u.agent = v.agent
WHERE v.agent LIKE $agent
ORDER BY v.agent, v.last_seen DESC
