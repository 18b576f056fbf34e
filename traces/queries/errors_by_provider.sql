-- title: Exchanges that did not end well, by provider, model and kind
-- shows: content
-- param: days = 7
SELECT provider, coalesce(response_model, request_model) AS model, state, error_code, upstream_status, count(*) AS exchanges,
       count(DISTINCT agent) AS agents, max(started_at) AS latest, arg_max(id, started_at) AS latest_exchange,
       arg_max(error_message, started_at) AS latest_message
FROM exchanges
WHERE state NOT IN ('complete', 'denied', 'open') AND started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY exchanges DESC, latest DESC, 1, 2, 3, 4, 5
