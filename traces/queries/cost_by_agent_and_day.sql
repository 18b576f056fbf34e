-- title: Cost by agent and day
-- param: days = 30
SELECT day, agent, sum(cost) AS cost, sum(exchanges)::BIGINT AS exchanges, sum(unpriced)::BIGINT AS unpriced,
       sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, sum(denied)::BIGINT AS denied
FROM cost_daily
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY day, agent
ORDER BY day DESC, cost DESC NULLS LAST, agent
