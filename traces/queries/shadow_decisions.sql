-- title: What rules in shadow mode, or a policy that only observes, would have done
-- param: days = 7
SELECT h.policy, h.rule, h.effect, c.name AS tool, c.agent, count(*) AS calls, count(*) FILTER (c.released) AS released,
       max(h.decided_at) AS latest
FROM rule_hits AS h JOIN calls AS c ON c.decided_at = h.decided_at AND c.id = h.decision_id
WHERE h.effect <> 'allow' AND (h.mode = 'shadow' OR c.would IS NOT NULL)
  AND h.decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY calls DESC, 1, 2, 3, 4, 5
