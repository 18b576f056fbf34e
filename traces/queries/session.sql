-- title: One session step by step: what was asked, what was proposed, what became of it
-- shows: content
-- param: session = 
-- param: agent = %
WITH steps AS (
  SELECT started_at AS happened_at, 'exchange' AS what, agent, id AS exchange_id, -1 AS "index", coalesce(response_model, request_model) AS subject,
         state AS outcome, cost, duration_us, input_preview AS said, output_preview AS answered
  FROM exchanges WHERE session = $session AND agent LIKE $agent
  UNION ALL
  SELECT e.started_at, 'call', c.agent, c.exchange_id, c."index", c.name,
         c.effect || CASE WHEN c.released THEN '' ELSE ', withheld' END, NULL, c.judged_us, c.arguments, c.reason
  FROM calls AS c JOIN exchanges AS e ON e.id = c.exchange_id
  WHERE c.session = $session AND e.session = $session AND c.agent LIKE $agent
)
SELECT happened_at, what, agent, subject, outcome, cost, duration_us, said, answered, exchange_id
FROM steps
ORDER BY happened_at, exchange_id, "index"
