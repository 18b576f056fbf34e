-- title: Runaway agents: sessions of many calls, of much money, or with the same call again and again
-- param: days = 7
-- param: calls = 200
-- param: usd = 20
-- param: same_call = 10
WITH acted AS (
  SELECT agent, session, sum(n)::BIGINT AS calls, max(n) AS same_call, arg_max(name, n) AS tool, max(latest) AS latest
  FROM (SELECT agent, session, name, arguments_hash, count(*) AS n, max(decided_at) AS latest
        FROM calls WHERE decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) GROUP BY ALL)
  GROUP BY ALL
), spent AS (
  SELECT agent, session, count(*) AS exchanges, sum(cost) AS cost, max(started_at) AS latest
  FROM exchanges WHERE started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) GROUP BY ALL
)
SELECT agent, session, spent.exchanges, coalesce(acted.calls, 0) AS calls, spent.cost, coalesce(acted.same_call, 0) AS same_call, acted.tool,
       greatest(spent.latest, acted.latest) AS latest
FROM spent LEFT JOIN acted USING (agent, session)
WHERE acted.calls >= $calls::INTEGER OR spent.cost >= $usd::DECIMAL(18,9) OR acted.same_call >= $same_call::INTEGER
ORDER BY spent.cost DESC NULLS LAST, same_call DESC, agent, session
LIMIT 100
