-- title: What validators measure (scores, 0 to 1), by agent, prompt version and day
-- param: days = 30
-- param: agent = %
SELECT day, agent, validator, version, policy, rule, prompt_hash, measured, mean, p10, p50, p90
FROM alignment
WHERE day > (make_timestamp(epoch_us(now())) - to_days($days::INTEGER))::DATE AND agent LIKE $agent
ORDER BY day DESC, agent, validator, version, rule, prompt_hash
