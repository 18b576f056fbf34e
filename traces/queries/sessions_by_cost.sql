-- title: Sessions by cost, with runaway signs
-- param: days = 7
WITH spent AS (
  SELECT session, agent, min(started_at) AS began, max(started_at) AS latest, count(*) AS exchanges, sum(cost) AS cost,
         count(*) FILTER (cost IS NULL AND state <> 'rejected') AS unpriced
  FROM exchanges WHERE session <> '' AND started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) GROUP BY ALL
), acted AS (
  SELECT session, agent, sum(n)::BIGINT AS calls, sum(withheld)::BIGINT AS withheld, max(n) AS same_call
  FROM (SELECT session, agent, name, arguments_hash, count(*) AS n, count(*) FILTER (NOT released) AS withheld
        FROM calls WHERE decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) GROUP BY ALL)
  GROUP BY ALL
)
SELECT session, agent, began, latest, exchanges, cost, unpriced, calls, withheld, same_call
FROM spent LEFT JOIN acted USING (session, agent)
ORDER BY cost DESC NULLS LAST, exchanges DESC, session, agent
LIMIT 100
