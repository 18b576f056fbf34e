-- What validators saw, and how many answers they looked at.

-- What looked without being asked by a rule and found nothing is told with its exchange, and is a row here.
CREATE VIEW validations AS
  WITH looks AS (
    SELECT id AS exchange_id, started_at, agent, looked_before, string_split(unnest(string_split(looked, ' ')), '/') AS look
    FROM exchanges_ended WHERE looked <> ''
  )
  SELECT * FROM validations_told
  UNION ALL BY NAME
  SELECT exchange_id, started_at, agent, look[1] AS validator, look[2] AS version, 'output' AS hook, '' AS policy, 'default' AS rule,
         'warn' AS effect, 'enforce' AS mode, 'passed' AS outcome, looked_before AS before, 1 AS looks, 0 AS seen,
         CASE WHEN looked_before THEN 'before' ELSE 'after' END AS covers, FALSE AS unsure
  FROM looks;

-- Answers of models that ended: what the shares below are shares of.
CREATE VIEW outputs AS
  SELECT id, started_at, started_at::DATE AS day, agent FROM exchanges_ended WHERE operation = 'chat' AND state IN ('complete', 'denied');

-- Of the answers that a validator which may withhold was asked about, those that every one of them passed.
CREATE VIEW quality AS
  SELECT started_at::DATE AS day, agent, count(*) AS controlled, count(*) FILTER (meets = 'met') AS met,
         count(*) FILTER (meets = 'unevaluated') AS unevaluated, round(count(*) FILTER (meets = 'met') / count(*), 4) AS quality
  FROM validations_told WHERE meets IS NOT NULL GROUP BY ALL;

-- Of all answers, those that a validator had looked at, to their end, before the client had the first byte of them. Models are asked later.
CREATE VIEW quality_control_coverage AS
  WITH later AS (
    SELECT started_at::DATE AS day, agent, validator, exchange_id, bool_or(outcome IN ('passed', 'hit')) AS looked,
           bool_or(outcome = 'unevaluated') AS unsure
    FROM validations_told WHERE covers = 'later' GROUP BY ALL
  ), looks AS (
    SELECT started_at::DATE AS day, agent, looked, looked_before, count(*) AS answers
    FROM exchanges_ended WHERE looked <> '' GROUP BY ALL
  ), unasked AS (
    SELECT day, agent, string_split(unnest(string_split(looked, ' ')), '/')[1] AS validator, looked_before, answers FROM looks
  ), parts AS (
    SELECT started_at::DATE AS day, agent, validator, count(*) FILTER (covers = 'before') AS before,
           count(*) FILTER (covers = 'after') AS after, count(*) FILTER (unsure) AS unevaluated
    FROM validations_told WHERE covers IN ('before', 'after', 'nothing') GROUP BY ALL
    UNION ALL BY NAME
    SELECT day, agent, validator, 0 AS before, count(*) FILTER (looked) AS after, count(*) FILTER (unsure) AS unevaluated
    FROM later GROUP BY ALL
    UNION ALL BY NAME
    SELECT day, agent, validator, coalesce(sum(answers) FILTER (looked_before), 0)::BIGINT AS before,
           coalesce(sum(answers) FILTER (NOT looked_before), 0)::BIGINT AS after, 0 AS unevaluated
    FROM unasked GROUP BY ALL
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
  FROM validations_told AS v LEFT JOIN exchanges_ended AS e ON e.id = v.exchange_id
  WHERE v.hook = 'output' AND v.score IS NOT NULL GROUP BY ALL;
