-- Which validators looked at the texts of an exchange, and what came of it; what they saw says more of itself.

ALTER TABLE findings ADD COLUMN version VARCHAR;
ALTER TABLE findings ADD COLUMN policy VARCHAR;
ALTER TABLE findings ADD COLUMN rule VARCHAR;
ALTER TABLE findings ADD COLUMN span_hash VARCHAR;
ALTER TABLE findings ADD COLUMN score DOUBLE;

CREATE TABLE validations (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, agent VARCHAR NOT NULL, validator VARCHAR NOT NULL, version VARCHAR NOT NULL,
  hook VARCHAR NOT NULL, policy VARCHAR, rule VARCHAR NOT NULL, effect VARCHAR NOT NULL, mode VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
  before BOOLEAN NOT NULL, looks BIGINT NOT NULL, seen BIGINT NOT NULL, score DOUBLE
);

-- Answers of models that ended: what the shares below are shares of.
CREATE VIEW outputs AS
  SELECT id, started_at, started_at::DATE AS day, agent FROM exchanges_ended WHERE operation = 'chat' AND state IN ('complete', 'denied');

-- Of the answers that a validator which may withhold was asked about, those that every one of them passed.
CREATE VIEW quality AS
  WITH met AS (
    SELECT exchange_id, started_at::DATE AS day, agent, bool_and(outcome = 'passed') AS passed, bool_or(outcome = 'unevaluated') AS unknown
    FROM validations WHERE hook = 'output' AND mode = 'enforce' AND effect IN ('deny', 'redact', 'repair') AND outcome <> 'not_drawn'
    GROUP BY ALL
  )
  SELECT day, agent, count(*) AS controlled, count(*) FILTER (passed) AS met, count(*) FILTER (unknown) AS unevaluated,
         round(count(*) FILTER (passed) / count(*), 4) AS quality
  FROM met GROUP BY ALL;

-- Of all answers, those that a validator had looked at, to their end, before the client had the first byte of them.
CREATE VIEW quality_control_coverage AS
  WITH asked AS (
    SELECT started_at::DATE AS day, agent, validator, exchange_id, bool_or(outcome IN ('passed', 'hit') AND before) AS before,
           bool_or(outcome IN ('passed', 'hit')) AS looked, bool_or(outcome = 'unevaluated') AS unevaluated
    FROM validations WHERE hook = 'output' GROUP BY ALL
  ), answers AS (SELECT day, agent, count(*) AS outputs FROM outputs GROUP BY ALL)
  SELECT a.day, a.agent, s.validator, a.outputs, count(s.exchange_id) FILTER (s.before) AS before,
         count(s.exchange_id) FILTER (s.looked AND NOT s.before) AS after, count(s.exchange_id) FILTER (s.unevaluated) AS unevaluated,
         round(count(s.exchange_id) FILTER (s.before) / a.outputs, 4) AS coverage
  FROM answers AS a JOIN asked AS s ON s.day = a.day AND s.agent = a.agent SEMI JOIN outputs AS o ON o.id = s.exchange_id
  GROUP BY a.day, a.agent, s.validator, a.outputs;

-- What validators measure.
CREATE VIEW alignment AS
  SELECT started_at::DATE AS day, agent, validator, policy, rule, count(*) AS measured, avg(score) AS mean,
         quantile_cont(score, 0.1) AS p10, quantile_cont(score, 0.5) AS p50, quantile_cont(score, 0.9) AS p90
  FROM validations WHERE hook = 'output' AND score IS NOT NULL GROUP BY ALL;
