-- What came of each answer, beside the prompt it was asked with: a kept prompt's version, else what the agent brought (its template).

CREATE VIEW prompt_outcomes AS
  WITH told AS (
    SELECT exchange_id, count(*) FILTER (validator <> 'refusal' AND severity <> 'info') AS findings,
           bool_or(validator = 'refusal') AS refused
    FROM findings GROUP BY exchange_id
  )
  SELECT e.id AS exchange_id, e.started_at, e.agent, coalesce(r.name, e.agent) AS prompt, coalesce(r.version, e.template_hash) AS version,
         r.version IS NOT NULL AS kept, coalesce(e.response_model, e.request_model) AS model, e.session,
         CASE WHEN e.output_tokens IS NOT NULL OR e.reasoning_tokens IS NOT NULL
           THEN coalesce(e.output_tokens, 0) + coalesce(e.reasoning_tokens, 0) END AS output_tokens,
         coalesce(t.refused, false) OR regexp_matches(coalesce(array_to_string(e.finish_reasons, ' '), ''),
           '(?i)\b(content_filter|refusal|safety|prohibited_content|blocklist|spii|recitation|image_safety)\b') AS refused,
         coalesce(e.calls, 0) AS calls, coalesce(e.denied, 0) AS withheld, coalesce(t.findings, 0) AS findings, e.cost, e.duration_us
  FROM exchanges AS e LEFT JOIN prompts_rendered AS r ON r.exchange_id = e.id LEFT JOIN told AS t ON t.exchange_id = e.id
  WHERE e.operation = 'chat' AND e.state IN ('complete', 'denied') AND e.template_hash IS NOT NULL;
