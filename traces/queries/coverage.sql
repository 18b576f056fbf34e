-- title: What was judged, route by route
-- param: days = 30
SELECT route, dialect, stream, hook, sum(exchanges)::BIGINT AS exchanges, sum(judged)::BIGINT AS judged,
       sum(unevaluated)::BIGINT AS unevaluated, sum(refused)::BIGINT AS refused, sum(with_calls)::BIGINT AS with_calls,
       sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied, sum(enforcing)::BIGINT AS enforcing, max(last_seen) AS last_seen
FROM coverage_daily
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY ALL
ORDER BY route, stream, hook
