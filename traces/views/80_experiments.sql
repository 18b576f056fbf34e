-- Experiments on kept prompts: what each arm came to.

-- A look is told once by each book that took it; the first counts.
CREATE VIEW experiment_looks AS
  SELECT * FROM experiment_looks_told
  QUALIFY row_number() OVER (PARTITION BY experiment, edition, look, arm, metric ORDER BY looked_at) = 1;

-- What is measured of each session, one row for each measure. A session that had two arms (one of them was halted) is nobody's.
CREATE VIEW experiment_values AS
  WITH told AS (
    SELECT id, experiment, edition, arm, agent, org, team, "user", session, started_at, duration_us, state, denied, cost
    FROM exchanges WHERE experiment IS NOT NULL AND state <> 'open'
  ), sessions AS (
    SELECT experiment, edition, min(arm) AS arm, agent, org, team, "user", session, min(started_at) AS first_at, max(started_at) AS last_at,
           count(*) AS exchanges, sum(denied) AS denials, avg(duration_us) / 1e3 AS latency,
           avg((state NOT IN ('complete', 'denied', 'client_gone'))::INTEGER) AS errors,
           CASE WHEN count(*) FILTER (cost IS NULL AND state <> 'rejected') = 0 THEN coalesce(sum(cost), 0) END AS cost
    FROM told GROUP BY experiment, edition, agent, org, team, "user", session HAVING count(DISTINCT arm) = 1
  ), told_later AS (
    SELECT t.experiment, t.edition, t.agent, t.org, t.team, t."user", t.session, 'quality' AS measure, NULL AS "of",
           (v.meets = 'met')::INTEGER AS value
    FROM validations AS v JOIN told AS t ON t.id = v.exchange_id WHERE v.meets IS NOT NULL
    UNION ALL BY NAME
    SELECT t.experiment, t.edition, t.agent, t.org, t.team, t."user", t.session, 'score' AS measure, v.validator AS "of", v.score AS value
    FROM validations AS v JOIN told AS t ON t.id = v.exchange_id WHERE v.hook = 'output' AND v.score IS NOT NULL
    UNION ALL BY NAME
    SELECT t.experiment, t.edition, t.agent, t.org, t.team, t."user", t.session, 'feedback' AS measure, f.name AS "of", f.score AS value
    FROM feedback AS f JOIN told AS t ON t.id = f.exchange_id WHERE f.score IS NOT NULL
    UNION ALL BY NAME
    SELECT s.experiment, s.edition, s.agent, s.org, s.team, s."user", s.session, 'feedback' AS measure, f.name AS "of", f.score AS value
    FROM feedback AS f JOIN sessions AS s ON s.session = f.session AND s.agent = f.agent AND s.org IS NOT DISTINCT FROM f.org
      AND s.team IS NOT DISTINCT FROM f.team AND s."user" IS NOT DISTINCT FROM f."user"
    WHERE f.exchange_id IS NULL AND f.score IS NOT NULL
  ), of_sessions AS (
    SELECT experiment, edition, agent, org, team, "user", session, measure, "of", avg(value) AS value FROM told_later GROUP BY ALL
  )
  SELECT s.experiment, s.edition, s.arm, s.agent, s.org, s.team, s."user", s.session, s.first_at, s.last_at, m.measure, NULL::VARCHAR AS "of",
         CASE m.measure WHEN 'exchanges' THEN s.exchanges WHEN 'denials' THEN s.denials WHEN 'latency' THEN s.latency
           WHEN 'errors' THEN s.errors WHEN 'cost' THEN s.cost END::DOUBLE AS value
  FROM sessions AS s, (SELECT unnest(['exchanges', 'denials', 'latency', 'errors', 'cost']) AS measure) AS m
  UNION ALL BY NAME
  SELECT s.experiment, s.edition, s.arm, s.agent, s.org, s.team, s."user", s.session, s.first_at, s.last_at, o.measure, o."of",
         o.value::DOUBLE AS value
  FROM of_sessions AS o JOIN sessions AS s ON s.experiment = o.experiment AND s.edition = o.edition AND s.agent = o.agent
    AND s.org IS NOT DISTINCT FROM o.org AND s.team IS NOT DISTINCT FROM o.team AND s."user" IS NOT DISTINCT FROM o."user" AND s.session = o.session;

CREATE VIEW experiment_results AS
  SELECT experiment, edition, arm, measure, "of", count(value) AS sessions, avg(value) AS mean, stddev_samp(value) AS deviation,
         min(first_at) AS first_at, max(last_at) AS last_at
  FROM experiment_values GROUP BY ALL HAVING count(value) > 0;

-- Each arm of each edition as it stands now.
CREATE VIEW experiment_arms AS
  WITH latest AS (
    SELECT *, min(changed_at) OVER (PARTITION BY experiment, edition, arm) AS began_at FROM experiment_changes
    QUALIFY row_number() OVER (PARTITION BY experiment, edition, arm ORDER BY changed_at DESC, state = 'running', id DESC) = 1
  ), counted AS (
    SELECT experiment, edition, arm, count(*) AS sessions, sum(value)::BIGINT AS exchanges
    FROM experiment_values WHERE measure = 'exchanges' GROUP BY ALL
  )
  SELECT coalesce(l.experiment, c.experiment) AS experiment, coalesce(l.edition, c.edition) AS edition, coalesce(l.arm, c.arm) AS arm,
         l.state, l.began_at, l.changed_at, l.who, l.why, l.design, l.prompt, l.version, l.weight, coalesce(c.sessions, 0) AS sessions,
         coalesce(c.exchanges, 0) AS exchanges
  FROM latest AS l FULL JOIN counted AS c ON c.experiment = l.experiment AND c.edition = l.edition AND c.arm = l.arm;
