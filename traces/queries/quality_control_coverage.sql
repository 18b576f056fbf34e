-- title: Which share of all answers each validator had looked at before the client saw them, by agent and day
-- param: days = 30
-- param: agent = %
SELECT day, agent, validator, outputs, before, after, unevaluated, coverage
FROM quality_control_coverage
WHERE day > (make_timestamp(epoch_us(now())) - to_days($days::INTEGER))::DATE AND agent LIKE $agent
ORDER BY day DESC, agent, validator
