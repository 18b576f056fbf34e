-- title: Tokens by model and class, and what share of the text that was read came from a cache
-- param: days = 30
SELECT provider, model, sum(exchanges)::BIGINT AS exchanges, sum(input_tokens)::BIGINT AS input_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens, sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
       sum(cache_write_1h_tokens)::BIGINT AS cache_write_1h_tokens, sum(output_tokens)::BIGINT AS output_tokens,
       sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
       round(sum(cache_read_tokens) / nullif(sum(coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0)
             + coalesce(cache_write_tokens, 0) + coalesce(cache_write_1h_tokens, 0)), 0), 3) AS cache_share,
       sum(cost) AS cost, sum(unpriced)::BIGINT AS unpriced
FROM cost_daily
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY provider, model
ORDER BY cost DESC NULLS LAST, exchanges DESC, provider, model
