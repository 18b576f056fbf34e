-- title: What rules in shadow mode, or a policy that only observes, would have done
-- param: days = 7
WITH heard AS (
  SELECT exchange_id, decision_id, decided_at, policy, rule, effect, coalesce(hook, 'tool_call') AS hook FROM rule_hits
  WHERE mode = 'shadow' AND effect <> 'allow' AND decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
), spoken AS (
  SELECT h.policy, h.rule, h.effect, h.hook, c.name AS tool, c.agent, c.id, c.released, c.exchange_id, c.decided_at
  FROM heard AS h JOIN calls AS c ON c.decided_at = h.decided_at AND c.id = h.decision_id
  UNION ALL BY NAME -- a call that could not be read, for a policy that only observes: no rule spoke
  SELECT '(none)' AS policy, 'unreadable' AS rule, would AS effect, 'tool_call' AS hook, name AS tool, agent, id, released, exchange_id,
         decided_at
  FROM calls
  WHERE would IS NOT NULL AND coalesce(rule, '') = '' AND decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
  UNION ALL BY NAME -- texts: an exchange may have run for days before one was heard
  SELECT h.policy, h.rule, h.effect, h.hook, e.agent, h.exchange_id, h.decided_at
  FROM heard AS h JOIN exchanges AS e ON e.id = h.exchange_id
  WHERE h.hook <> 'tool_call' AND e.started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER + 2)
)
SELECT policy, rule, effect, hook, tool, agent, count(DISTINCT id) AS calls, count(DISTINCT id) FILTER (released) AS released,
       count(DISTINCT exchange_id) AS exchanges, max(decided_at) AS latest
FROM spoken
GROUP BY ALL
ORDER BY exchanges DESC, 1, 2, 3, 4, 5, 6
