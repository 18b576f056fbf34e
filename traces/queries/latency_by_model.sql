-- title: Latency by model: whole answer, first byte, and what the gateway added
-- param: days = 7
SELECT provider, coalesce(response_model, request_model) AS model, count(*) AS exchanges,
       round(approx_quantile(duration_us, 0.5) / 1000) AS p50_ms, round(approx_quantile(duration_us, 0.95) / 1000) AS p95_ms,
       round(approx_quantile(first_byte_us, 0.5) / 1000) AS first_byte_p50_ms,
       round(approx_quantile(first_byte_us, 0.95) / 1000) AS first_byte_p95_ms,
       round(approx_quantile(overhead_us, 0.5) / 1000, 3) AS gateway_p50_ms,
       round(approx_quantile(overhead_us, 0.95) / 1000, 3) AS gateway_p95_ms
FROM exchanges
WHERE state IN ('complete', 'denied')
  AND cache IS DISTINCT FROM 'hit' AND started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY exchanges DESC, 1, 2
