-- title: How often answers could be given again, and what that saved
-- param: days = 30
SELECT day, agent, model, sum(looked)::BIGINT AS looked, sum(hits)::BIGINT AS hits,
       round(sum(hits) / sum(looked), 4) AS hit_share, sum(saved_cost) AS saved_cost, sum(unpriced)::BIGINT AS unpriced
FROM cache_daily
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY ALL
ORDER BY day DESC, saved_cost DESC NULLS LAST, hits DESC, agent, model
