-- title: Answers that met every validator which may withhold them, by agent and day
-- param: days = 30
-- param: agent = %
SELECT day, agent, controlled, met, unevaluated, quality
FROM quality
WHERE day > (make_timestamp(epoch_us(now())) - to_days($days::INTEGER))::DATE AND agent LIKE $agent
ORDER BY day DESC, agent
