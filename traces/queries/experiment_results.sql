-- title: What each arm of an experiment came to, how it compares at its latest look, and why it was halted or promoted
-- param: experiment = %
-- param: edition = %
WITH looked AS (
  SELECT experiment, edition, arm, look, metric, guard, arm_sessions AS sessions, arm_mean AS mean, control_sessions, control_mean,
         difference, low, high, level, p, finding
  FROM experiment_looks
  QUALIFY look = max(look) OVER (PARTITION BY experiment, edition, arm)
), measured AS (
  SELECT experiment, edition, arm, measure || coalesce(' of ' || "of", '') AS metric, sessions, mean,
         CASE WHEN sessions >= 30 THEN 1.96 * deviation / sqrt(sessions) END AS half
  FROM experiment_results
), told AS (
  SELECT experiment, edition, arm, 'look' AS basis, metric, guard, sessions, mean, NULL::DOUBLE AS mean_low, NULL::DOUBLE AS mean_high, look,
         control_sessions, control_mean, difference, low, high, level, p, finding
  FROM looked
  UNION ALL BY NAME
  SELECT experiment, edition, arm, 'so far' AS basis, metric, sessions, mean, mean - half AS mean_low, mean + half AS mean_high FROM measured
)
SELECT a.experiment, a.edition, a.arm, a.state, a.changed_at, a.who, a.why, t.basis, t.metric, t.guard, t.sessions, t.mean, t.mean_low,
       t.mean_high, t.look, t.control_sessions, t.control_mean, t.difference, t.low, t.high, t.level, t.p, t.finding
FROM experiment_arms AS a LEFT JOIN told AS t ON t.experiment = a.experiment AND t.edition = a.edition AND t.arm = a.arm
WHERE a.experiment LIKE $experiment AND a.edition LIKE $edition
ORDER BY max(a.changed_at) OVER (PARTITION BY a.experiment, a.edition) DESC NULLS LAST, a.experiment, a.edition, a.arm, t.basis, t.metric
