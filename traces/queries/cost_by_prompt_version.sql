-- title: What each prompt version costs per exchange, and how often a call of it is withheld
-- shows: content
-- param: agent = %
SELECT agent, hash, first_seen, last_seen, exchanges, cost, unpriced, round(cost / nullif(exchanges - unpriced, 0), 6) AS cost_per_exchange,
       calls, denied AS withheld, round(denied / nullif(calls, 0), 4) AS withheld_share, left(system, 200) AS system
FROM prompt_versions
WHERE agent LIKE $agent
ORDER BY agent, last_seen DESC, hash
