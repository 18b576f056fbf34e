-- title: How the targets of routes did: asked, failed, asked again, how fast, for how much
-- param: days = 7
SELECT upstream, model, region, kind, count(*) AS attempts, count(*) FILTER (fault IS NOT NULL) AS failed,
       round(count(*) FILTER (fault IS NOT NULL) / count(*), 4) AS failed_share, mode(fault) AS usual_fault,
       count(*) FILTER (unsure) AS unsure, round(quantile_cont(first_byte_us, 0.5) / 1000, 1) AS first_byte_p50_ms,
       round(quantile_cont(first_byte_us, 0.95) / 1000, 1) AS first_byte_p95_ms, sum(cost) AS cost, max(started_at) AS latest
FROM attempts
WHERE started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY upstream, model, region, kind
