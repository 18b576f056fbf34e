-- title: What budgets have counted, and how often they refused
-- param: days = 30
SELECT budget, subject, sum(requests)::BIGINT AS requests, sum(refused)::BIGINT AS refused, sum(cost) AS cost, sum(estimated_cost) AS estimated_cost, sum(tokens)::BIGINT AS tokens,
       sum(calls)::BIGINT AS calls, max(latest) AS latest
FROM budget_use
WHERE day > make_timestamp(epoch_us(now()))::DATE - $days::INTEGER
GROUP BY ALL
ORDER BY refused DESC, cost DESC NULLS LAST, requests DESC, budget, subject
