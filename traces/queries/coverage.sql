-- title: What was judged, route by route
-- param: days = 30
SELECT route, dialect, stream, hook, exchanges, judged, unevaluated, refused, with_calls, calls, denied, enforcing, last_seen
FROM coverage
WHERE last_seen > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
ORDER BY route, stream, hook
