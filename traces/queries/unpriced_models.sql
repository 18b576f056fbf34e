-- title: Models whose cost is not known, and why
-- param: days = 30
SELECT provider, coalesce(response_model, request_model) AS model,
       CASE WHEN input_tokens IS NULL OR output_tokens IS NULL THEN 'the provider gave no usage' ELSE 'no price for the model' END AS why,
       count(*) AS exchanges, sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
       max(price_version) AS price_version
FROM exchanges
WHERE cost IS NULL AND state NOT IN ('open', 'rejected') AND started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY exchanges DESC, 1, 2
