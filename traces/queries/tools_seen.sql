-- title: Tools that were declared or called: since when, by how many agents, how often
SELECT name, agents, prompts, calls, first_seen, last_called
FROM tools_seen
ORDER BY calls DESC, name
