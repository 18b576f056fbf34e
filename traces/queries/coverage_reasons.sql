-- title: Why something was not judged
-- param: days = 30
SELECT route, stream, reason, exchanges, last_seen, latest
FROM coverage_reasons
WHERE last_seen > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
ORDER BY exchanges DESC, route
