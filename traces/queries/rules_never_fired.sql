-- title: Rules in force that never fired
SELECT policy, rule, kind, effect, mode, tools, file, line
FROM rules_in_force
WHERE hits = 0
ORDER BY file, line
