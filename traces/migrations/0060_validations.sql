-- Which validators looked at the texts of an exchange, and what came of it; what they saw says more of itself.

ALTER TABLE findings ADD COLUMN version VARCHAR;
ALTER TABLE findings ADD COLUMN policy VARCHAR;
ALTER TABLE findings ADD COLUMN rule VARCHAR;
ALTER TABLE findings ADD COLUMN span_hash VARCHAR;
ALTER TABLE findings ADD COLUMN score DOUBLE;

CREATE TABLE validations (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, agent VARCHAR NOT NULL, validator VARCHAR NOT NULL, version VARCHAR NOT NULL,
  hook VARCHAR NOT NULL, policy VARCHAR, rule VARCHAR NOT NULL, effect VARCHAR NOT NULL, mode VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
  before BOOLEAN NOT NULL, looks BIGINT NOT NULL, seen BIGINT NOT NULL, score DOUBLE, asked VARCHAR,
  -- What all rows of an exchange come to is told with one of them, so that shares are counted without gathering rows by exchange.
  covers VARCHAR, unsure BOOLEAN, meets VARCHAR
);

-- Answers of models that ended: what the shares below are shares of.
CREATE VIEW outputs AS
  SELECT id, started_at, started_at::DATE AS day, agent FROM exchanges_ended WHERE operation = 'chat' AND state IN ('complete', 'denied');

-- Of the answers that a validator which may withhold was asked about, those that every one of them passed.
CREATE VIEW quality AS
  SELECT started_at::DATE AS day, agent, count(*) AS controlled, count(*) FILTER (meets = 'met') AS met,
         count(*) FILTER (meets = 'unevaluated') AS unevaluated, round(count(*) FILTER (meets = 'met') / count(*), 4) AS quality
  FROM validations WHERE meets IS NOT NULL GROUP BY ALL;

-- Of all answers, those that a validator had looked at, to their end, before the client had the first byte of them. Models are asked later.
CREATE VIEW quality_control_coverage AS
  WITH later AS (
    SELECT started_at::DATE AS day, agent, validator, exchange_id, bool_or(outcome IN ('passed', 'hit')) AS looked,
           bool_or(outcome = 'unevaluated') AS unsure
    FROM validations WHERE covers = 'later' GROUP BY ALL
  ), parts AS (
    SELECT started_at::DATE AS day, agent, validator, count(*) FILTER (covers = 'before') AS before,
           count(*) FILTER (covers = 'after') AS after, count(*) FILTER (unsure) AS unevaluated
    FROM validations WHERE covers IN ('before', 'after', 'nothing') GROUP BY ALL
    UNION ALL BY NAME
    SELECT day, agent, validator, 0 AS before, count(*) FILTER (looked) AS after, count(*) FILTER (unsure) AS unevaluated
    FROM later GROUP BY ALL
  ), asked AS (
    SELECT day, agent, validator, sum(before)::BIGINT AS before, sum(after)::BIGINT AS after, sum(unevaluated)::BIGINT AS unevaluated
    FROM parts GROUP BY ALL
  ), answers AS (SELECT day, agent, count(*) AS outputs FROM outputs GROUP BY ALL)
  SELECT a.day, a.agent, s.validator, a.outputs, s.before, s.after, s.unevaluated, round(s.before / a.outputs, 4) AS coverage
  FROM answers AS a JOIN asked AS s ON s.day = a.day AND s.agent = a.agent;

-- What validators measure.
CREATE VIEW alignment AS
  SELECT v.started_at::DATE AS day, v.agent, v.validator, v.version, v.policy, v.rule, e.prompt_hash, count(*) AS measured,
         avg(v.score) AS mean, quantile_cont(v.score, 0.1) AS p10, quantile_cont(v.score, 0.5) AS p50, quantile_cont(v.score, 0.9) AS p90
  FROM validations AS v LEFT JOIN exchanges_ended AS e ON e.id = v.exchange_id
  WHERE v.hook = 'output' AND v.score IS NOT NULL GROUP BY ALL;
