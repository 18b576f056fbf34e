-- title: Withheld calls by the rule that decided
-- shows: content
-- param: days = 7
-- A call that was let pass, and whose answer ended before it could leave, was withheld by no rule.
SELECT coalesce(CASE WHEN code <> 'not_delivered' THEN nullif(policy, '') END, '(none)') AS policy,
       coalesce(CASE WHEN code <> 'not_delivered' THEN nullif(rule, '') END, code) AS rule, effect, name AS tool,
       count(*) AS calls, count(DISTINCT agent) AS agents, max(decided_at) AS latest, arg_max(reason, decided_at) AS latest_reason
FROM calls
WHERE NOT released AND decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY calls DESC, 1, 2, 3, 4
