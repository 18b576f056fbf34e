-- title: Latest decisions
-- shows: content
-- param: agent = %
SELECT decided_at, agent, effect, released, name AS tool, arguments, reason, policy, rule, id, exchange_id
FROM calls
WHERE agent LIKE $agent
ORDER BY decided_at DESC, "index" DESC, id
LIMIT 100
