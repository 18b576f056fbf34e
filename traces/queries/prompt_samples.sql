-- title: A thousand answers at the most of each prompt version, of the last days and of the weeks before: what `tollhouse prompts drift` compares
-- param: days = 7
-- param: baseline = 28
-- param: prompt = %
WITH seen AS (
  SELECT *, started_at > now()::TIMESTAMP - to_days($days::INTEGER) AS late FROM prompt_outcomes
  WHERE started_at > now()::TIMESTAMP - to_days($days::INTEGER + $baseline::INTEGER) AND prompt LIKE $prompt
), drawn AS (
  SELECT *, count(*) OVER (PARTITION BY prompt, version, kept, late) AS answers FROM seen
  QUALIFY row_number() OVER (PARTITION BY prompt, version, kept, late ORDER BY hash(exchange_id)) <= 1000
), named AS (
  SELECT prompt, version, kept, late, name, count(*) AS n
  FROM (SELECT d.prompt, d.version, d.kept, d.late, coalesce(c.name, '') AS name FROM drawn AS d
        LEFT JOIN (SELECT exchange_id, name FROM calls
                   WHERE decided_at > now()::TIMESTAMP - to_days($days::INTEGER + $baseline::INTEGER)) AS c USING (exchange_id))
  GROUP BY ALL
), models AS (
  SELECT prompt, version, kept, late, coalesce(model, '') AS name, count(*) AS n FROM drawn GROUP BY ALL
), mixes AS (
  SELECT prompt, version, kept, late, to_json(list({'name': named.name, 'n': named.n} ORDER BY named.n DESC, named.name)[:200]) AS tools
  FROM named GROUP BY prompt, version, kept, late
), told AS (
  SELECT prompt, version, kept, late, any_value(answers) AS answers, count(*) AS drawn, count(*) FILTER (refused) AS refused,
         count(*) FILTER (withheld > 0) AS withheld, count(*) FILTER (findings > 0) AS findings,
         to_json(list(output_tokens) FILTER (output_tokens IS NOT NULL)) AS output_tokens,
         to_json(list(cost::DOUBLE) FILTER (cost IS NOT NULL)) AS cost, to_json(list(duration_us)) AS duration_us
  FROM drawn GROUP BY prompt, version, kept, late
)
SELECT told.*, mixes.tools, m.models, sum(answers) OVER (PARTITION BY prompt, version, kept) AS of_version
FROM told JOIN mixes USING (prompt, version, kept, late)
JOIN (SELECT prompt, version, kept, late, to_json(list({'name': models.name, 'n': models.n} ORDER BY models.n DESC, models.name)[:200]) AS models
      FROM models GROUP BY prompt, version, kept, late) AS m USING (prompt, version, kept, late)
WHERE EXISTS (SELECT 1 FROM told AS other WHERE other.late AND other.prompt = told.prompt AND other.version = told.version AND other.kept = told.kept)
ORDER BY of_version DESC, told.prompt, told.version, told.late
LIMIT 100
