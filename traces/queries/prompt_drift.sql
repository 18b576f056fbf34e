-- title: What comes of each prompt version in the last days, beside the weeks before: has anything drifted
-- param: days = 7
-- param: baseline = 28
-- param: least = 50
-- param: prompt = %
WITH seen AS (
  SELECT *, started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) AS late FROM prompt_outcomes
  WHERE started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER + $baseline::INTEGER) AND prompt LIKE $prompt
), told AS (
  SELECT prompt, version, kept, late, count(*) AS n, count(*) FILTER (refused) / n AS refused, count(*) FILTER (withheld > 0) / n AS withheld,
         count(*) FILTER (findings > 0) / n AS findings, sum(calls) / n AS calls, quantile_cont(output_tokens, [0.5, 0.95]) AS tokens,
         quantile_cont(cost::DOUBLE, 0.5) AS cost, quantile_cont(duration_us / 1000, [0.5, 0.95]) AS ms, mode(model) AS model
  FROM seen GROUP BY ALL
)
SELECT a.prompt, left(a.version, 12) AS version, a.kept, b.n AS baseline_answers, a.n AS answers,
       round(b.tokens[1]) AS baseline_tokens_p50, round(a.tokens[1]) AS tokens_p50,
       round(b.tokens[2]) AS baseline_tokens_p95, round(a.tokens[2]) AS tokens_p95,
       round(b.refused, 4) AS baseline_refused, round(a.refused, 4) AS refused,
       round(b.withheld, 4) AS baseline_withheld, round(a.withheld, 4) AS withheld,
       round(b.findings, 4) AS baseline_findings, round(a.findings, 4) AS findings,
       round(b.calls, 3) AS baseline_calls, round(a.calls, 3) AS calls,
       round(b.cost, 9) AS baseline_cost_p50, round(a.cost, 9) AS cost_p50,
       round(b.ms[1]) AS baseline_p50_ms, round(a.ms[1]) AS p50_ms, round(b.ms[2]) AS baseline_p95_ms, round(a.ms[2]) AS p95_ms,
       b.model AS baseline_model, a.model
FROM told AS a JOIN told AS b ON b.prompt = a.prompt AND b.version = a.version AND b.kept = a.kept AND NOT b.late
WHERE a.late AND a.n >= $least::INTEGER AND b.n >= $least::INTEGER
ORDER BY a.n DESC, a.prompt, version
