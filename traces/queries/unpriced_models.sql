-- title: Models whose cost is not known, and why
-- param: days = 30
SELECT provider, coalesce(response_model, request_model) AS model,
       CASE WHEN estimate IS NOT NULL THEN 'nobody heard the answer to its end'
            WHEN list_has_any(not_priced, ['usage', 'total_tokens']) THEN 'the provider''s counts do not fit together'
            WHEN list_contains(not_priced, 'model') THEN 'no price for the model'
            WHEN len(not_priced) > 0 THEN 'no price for ' || array_to_string(list_sort(not_priced), ', ')
            WHEN input_tokens IS NULL OR output_tokens IS NULL THEN 'the provider gave no usage'
            ELSE 'no price for the model' END AS why,
       count(*) AS exchanges, sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
       max(price_version) AS price_version
FROM exchanges
WHERE cost IS NULL AND state NOT IN ('open', 'rejected') AND started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)
GROUP BY ALL
ORDER BY exchanges DESC, 1, 2
