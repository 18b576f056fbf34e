-- title: Tools that no rule names
SELECT name, agents, prompts, calls, first_seen, last_called
FROM unnamed_tools
ORDER BY calls DESC, name
