-- What models said of answers that had left, and where they were asked.

ALTER TABLE validations ADD COLUMN asked VARCHAR;

-- What validators measure.
CREATE OR REPLACE VIEW alignment AS
  SELECT v.started_at::DATE AS day, v.agent, v.validator, v.version, v.policy, v.rule, e.prompt_hash, count(*) AS measured,
         avg(v.score) AS mean, quantile_cont(v.score, 0.1) AS p10, quantile_cont(v.score, 0.5) AS p50, quantile_cont(v.score, 0.9) AS p90
  FROM validations AS v LEFT JOIN exchanges_ended AS e ON e.id = v.exchange_id
  WHERE v.hook = 'output' AND v.score IS NOT NULL GROUP BY ALL;
