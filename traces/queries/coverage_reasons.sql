-- title: Why something was not judged
-- param: days = 30
SELECT route, stream, reason, sum(exchanges)::BIGINT AS exchanges, max(last_seen) AS last_seen, arg_max(latest, last_seen) AS latest
FROM coverage_reasons_daily
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY ALL
ORDER BY exchanges DESC, route, stream, reason
