-- title: One exchange whole: its row, its calls, the rules that spoke, its messages
-- shows: content
-- param: id = 
-- Messages are looked up by address in the days before the exchange, whose id begins with its time in milliseconds, and among all others only
-- where that leaves one out; then by time: few parts of a month's file hold any of them.
WITH one AS MATERIALIZED (SELECT * FROM exchanges WHERE id = $id),
wanted AS MATERIALIZED (
  SELECT unnest(request_messages) AS hash, generate_subscripts(request_messages, 1) AS position FROM one
  UNION ALL SELECT response_message, NULL FROM one
), near AS MATERIALIZED (
  SELECT hash, first_seen FROM message_copies
  WHERE first_seen > make_timestamp(coalesce(TRY_CAST('0x' || left($id, 12) AS BIGINT), 0) * 1000) - INTERVAL 2 DAY
    AND first_seen < make_timestamp(coalesce(TRY_CAST('0x' || left($id, 12) AS BIGINT), 0) * 1000) + INTERVAL 2 DAY
    AND hash IN (SELECT hash FROM wanted)
), far AS MATERIALIZED (
  SELECT first_seen FROM message_copies WHERE hash IN (SELECT hash FROM wanted WHERE hash NOT IN (SELECT hash FROM near))
), times AS MATERIALIZED (
  SELECT first_seen FROM near UNION SELECT first_seen FROM far
), bodies AS MATERIALIZED (
  SELECT hash, any_value(role) AS role, any_value(body) AS body FROM message_copies SEMI JOIN times USING (first_seen) GROUP BY hash
)
SELECT 0 AS part, 0 AS position, 'exchange' AS what, agent AS who, state AS outcome, request_model AS subject,
       concat_ws(' ', 'cost', cost, 'status', status, error_message) AS detail FROM one
UNION ALL
SELECT 1, w.position, 'message', b.role, NULL, w.hash, b.body FROM wanted AS w LEFT JOIN bodies AS b USING (hash) WHERE w.position IS NOT NULL
UNION ALL
SELECT 2, 0, 'answer', b.role, one.state, b.hash, b.body FROM one JOIN bodies AS b ON b.hash = one.response_message
UNION ALL
SELECT 3, c."index", 'call', c.policy, c.effect, c.name, concat_ws(' ', c.arguments, c.reason)
FROM calls AS c WHERE c.exchange_id = $id
UNION ALL
SELECT 4, h.line, 'rule', h.policy, h.effect || CASE h.mode WHEN 'shadow' THEN ' (shadow)' ELSE '' END, h.rule, h.message
FROM rule_hits AS h WHERE h.exchange_id = $id
UNION ALL
SELECT 5, 0, 'finding', f.validator, f.severity, f.code, f.detail FROM findings AS f WHERE f.exchange_id = $id
ORDER BY part, position
