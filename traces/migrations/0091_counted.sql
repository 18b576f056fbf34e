-- What the validations of an exchange come to is told with one of its rows, so that shares are counted without gathering rows by exchange.

ALTER TABLE validations ADD COLUMN covers VARCHAR;
ALTER TABLE validations ADD COLUMN unsure BOOLEAN;
ALTER TABLE validations ADD COLUMN meets VARCHAR;

-- Rows from before are told by the journal again (tollhouse rebuild).

-- Of the answers that a validator which may withhold was asked about, those that every one of them passed.
CREATE OR REPLACE VIEW quality AS
  SELECT started_at::DATE AS day, agent, count(*) AS controlled, count(*) FILTER (meets = 'met') AS met,
         count(*) FILTER (meets = 'unevaluated') AS unevaluated, round(count(*) FILTER (meets = 'met') / count(*), 4) AS quality
  FROM validations WHERE meets IS NOT NULL GROUP BY ALL;

-- Of all answers, those that a validator had looked at, to their end, before the client had the first byte of them. Models are asked later.
CREATE OR REPLACE VIEW quality_control_coverage AS
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
