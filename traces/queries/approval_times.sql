-- title: How long people take to decide, and what they decide, by rule
-- param: days = 30
SELECT policy, rule, tool, count(*) AS asked, count(*) FILTER (state IN ('approved', 'used')) AS approved, count(*) FILTER (state = 'denied') AS denied,
       count(*) FILTER (state = 'expired') AS expired, count(*) FILTER (state = 'pending') AS pending,
       round(approx_quantile(epoch_us(decided_at) - epoch_us(created_at), 0.5) / 1e6, 1) AS p50_s,
       round(approx_quantile(epoch_us(decided_at) - epoch_us(created_at), 0.95) / 1e6, 1) AS p95_s,
       count(DISTINCT decided_by) AS people
FROM approvals
WHERE created_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY asked DESC, 1, 2, 3
