-- title: A thousand answers at the most of each prompt version, of the last days and of the weeks before: what `tollhouse prompts drift` compares
-- param: days = 7
-- param: baseline = 28
-- param: prompt = %
-- Which answers are drawn is found out of few columns; what came of them is asked for these alone.
WITH seen AS (
  SELECT prompt, version, kept, started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER) AS late, exchange_id FROM prompt_answers
  WHERE started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER + $baseline::INTEGER) AND prompt LIKE $prompt
), windows AS (
  SELECT prompt, version, kept, late, count(*) AS answers, min_by(exchange_id, hash(exchange_id), 1000) AS ids FROM seen GROUP BY ALL
), compared AS MATERIALIZED (
  SELECT *, sum(answers) OVER (PARTITION BY prompt, version, kept) AS of_version, row_number() OVER () AS nr FROM windows
  QUALIFY bool_or(late) OVER (PARTITION BY prompt, version, kept)
  ORDER BY of_version DESC, prompt, version, late
  LIMIT 100
), drawn AS MATERIALIZED (
  SELECT c.nr, o.exchange_id, o.model, o.refused, o.withheld, o.findings, o.output_tokens, o.cost, o.duration_us
  FROM (SELECT nr, unnest(ids) AS exchange_id FROM compared) AS c JOIN prompt_outcomes AS o USING (exchange_id)
  WHERE o.started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER + $baseline::INTEGER)
), tools AS (
  SELECT nr, to_json(list({'name': name, 'n': n} ORDER BY n DESC, name)[:200]) AS tools
  FROM (SELECT d.nr, coalesce(c.name, '') AS name, count(*) AS n FROM drawn AS d
        LEFT JOIN (SELECT exchange_id, name FROM calls
                   WHERE decided_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER + $baseline::INTEGER)) AS c USING (exchange_id)
        GROUP BY ALL)
  GROUP BY nr
), models AS (
  SELECT nr, to_json(list({'name': name, 'n': n} ORDER BY n DESC, name)[:200]) AS models
  FROM (SELECT nr, coalesce(model, '') AS name, count(*) AS n FROM drawn GROUP BY ALL) GROUP BY nr
), told AS (
  SELECT nr, count(*) AS drawn, count(*) FILTER (refused) AS refused,
         count(*) FILTER (withheld > 0) AS withheld, count(*) FILTER (findings > 0) AS findings,
         to_json(list(output_tokens) FILTER (output_tokens IS NOT NULL)) AS output_tokens,
         to_json(list(cost::DOUBLE) FILTER (cost IS NOT NULL)) AS cost, to_json(list(duration_us)) AS duration_us
  FROM drawn GROUP BY nr
)
SELECT prompt, version, kept, late, answers, told.* EXCLUDE (nr), tools, models, of_version
FROM compared JOIN told USING (nr) JOIN tools USING (nr) JOIN models USING (nr)
ORDER BY of_version DESC, prompt, version, late
