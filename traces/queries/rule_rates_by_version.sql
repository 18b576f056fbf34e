-- title: How often each rule about calls withholds one, under each version of the policy: did a new version change anything
-- param: days = 30
-- Of the rules that spoke about a withheld call those that only warn, or are in shadow, withheld nothing.
-- A hit has the time of its call: times are compared first, which leaves few ids to compare.
WITH judged AS (
  SELECT policy_hash, count(*) AS calls, min(decided_at) AS first_call, max(decided_at) AS last_call
  FROM calls WHERE decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) GROUP BY ALL
), fired AS (
  SELECT c.policy_hash, h.policy, h.rule, h.mode, count(DISTINCT c.id) AS hits, 
         count(DISTINCT c.id) FILTER (NOT c.released AND c.code <> 'not_delivered' AND h.mode = 'enforce'
                                      AND h.effect NOT IN ('allow', 'warn')) AS withheld
  FROM rule_hits AS h JOIN calls AS c ON c.decided_at = h.decided_at AND c.id = h.decision_id
  WHERE h.rule NOT IN ('allow', 'default') AND h.decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
    AND c.decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
  GROUP BY ALL
)
SELECT f.policy, f.rule, f.mode, f.policy_hash, j.first_call, j.last_call, j.calls, f.hits, f.withheld,
       round(f.withheld / j.calls, 4) AS deny_rate
FROM fired AS f JOIN judged AS j USING (policy_hash)
ORDER BY f.policy, f.rule, j.first_call
