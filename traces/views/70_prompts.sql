-- Prompts: those that were found in requests, and those that are kept.

CREATE VIEW prompt_versions AS
  WITH parts AS (
    SELECT prompt_hash AS hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied FROM exchange_sums
    UNION ALL BY NAME
    SELECT prompt_hash AS hash, agent, started_at AS first_seen, started_at AS last_seen, 1 AS exchanges, 1 AS unpriced FROM exchanges_open
    UNION ALL BY NAME
    SELECT prompt_hash AS hash, agent, 0 AS exchanges, cost, unpriced FROM cost_changes
  ), seen AS (
    SELECT hash, agent, min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(exchanges)::BIGINT AS exchanges,
           CASE WHEN sum(unpriced) < sum(exchanges) THEN sum(cost) END AS cost, sum(unpriced)::BIGINT AS unpriced,
           coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(denied), 0)::BIGINT AS denied
    FROM parts WHERE hash IS NOT NULL GROUP BY ALL HAVING sum(exchanges) <> 0
  ), bodies AS (
    SELECT hash, any_value(system) AS system, any_value(tools) AS tools FROM content.main.prompt_bodies GROUP BY hash
  )
  SELECT hash, agent, first_seen, last_seen, exchanges, cost, unpriced, calls, denied, system, tools
  FROM seen LEFT JOIN bodies USING (hash);

-- A version is loaded by every worker of every start.
CREATE VIEW kept_prompts AS
  SELECT name, version, min(loaded_at) AS first_loaded, max(loaded_at) AS last_loaded, arg_max(git, loaded_at) AS git,
    arg_max(labels, loaded_at) AS labels, any_value(source) AS source, arg_max(last_commit, loaded_at) AS last_commit,
    arg_max(author, loaded_at) AS author, bool_or(committed) AS committed
  FROM prompts_loaded GROUP BY name, version;

-- What each agent was asked with, one row for a template (what is left of system prompt and tools without what changes from request to
-- request): many prompt versions may come to one.
CREATE VIEW prompt_templates AS
  WITH e AS (
    SELECT id, agent, started_at, prompt_hash, template_hash FROM exchanges_ended
    UNION ALL SELECT id, agent, started_at, prompt_hash, template_hash FROM exchanges_open
  )
  SELECT e.agent, e.template_hash, min(e.started_at) AS first_seen, max(e.started_at) AS last_seen, count(*) AS exchanges,
    count(DISTINCT e.prompt_hash) AS versions, arg_min(e.prompt_hash, e.started_at) AS first_prompt_hash,
    arg_max(e.prompt_hash, e.started_at) AS last_prompt_hash, arg_min(e.id, e.started_at) AS first_exchange,
    bool_and(r.version IS NOT NULL) AS deployed, arg_min(r.name || '@' || r.version, e.started_at) AS kept_prompt
  FROM e LEFT JOIN prompts_rendered AS r ON r.exchange_id = e.id
  WHERE e.template_hash IS NOT NULL GROUP BY e.agent, e.template_hash;

-- Each time an agent came with a template it never had before. `deployed`: it was a kept prompt each time, so somebody put it there.
CREATE VIEW prompt_changes AS
  SELECT agent, first_seen AS changed_at, deployed, kept_prompt, template_hash,
    lag(template_hash) OVER agents AS template_before, first_prompt_hash AS prompt_hash,
    lag(last_prompt_hash) OVER agents AS prompt_before, first_exchange AS exchange_id, last_seen, exchanges
  FROM prompt_templates
  WINDOW agents AS (PARTITION BY agent ORDER BY first_seen, template_hash)
  QUALIFY template_before IS NOT NULL;

-- Each answer that ended well, beside the prompt it was asked with: a kept prompt's version, else what the agent brought (its template).
CREATE VIEW prompt_answers AS
  SELECT e.id AS exchange_id, e.started_at, e.agent, coalesce(r.name, e.agent) AS prompt, coalesce(r.version, e.template_hash) AS version,
         r.version IS NOT NULL AS kept, coalesce(e.response_model, e.request_model) AS model, e.session, e.finish_reasons,
         CASE WHEN e.output_tokens IS NOT NULL OR e.reasoning_tokens IS NOT NULL
           THEN coalesce(e.output_tokens, 0) + coalesce(e.reasoning_tokens, 0) END AS output_tokens,
         coalesce(e.calls, 0) AS calls, coalesce(e.denied, 0) AS withheld, e.cost, e.duration_us
  FROM exchanges AS e LEFT JOIN prompts_rendered AS r ON r.exchange_id = e.id
  WHERE e.operation = 'chat' AND e.state IN ('complete', 'denied') AND e.template_hash IS NOT NULL;

-- What came of each. Most answers end for one of a few reasons: only where they do not is the pattern looked for, which takes four times as
-- long.
CREATE VIEW prompt_outcomes AS
  WITH told AS (
    SELECT exchange_id, count(*) FILTER (validator <> 'refusal' AND severity <> 'info') AS findings,
           bool_or(validator = 'refusal') AS refused
    FROM findings GROUP BY exchange_id
  )
  SELECT a.exchange_id, a.started_at, a.agent, a.prompt, a.version, a.kept, a.model, a.session, a.output_tokens,
         coalesce(t.refused, false) OR CASE
           WHEN len(a.finish_reasons) = 1 AND list_contains(['stop', 'tool_calls', 'end_turn', 'tool_use', 'STOP'], a.finish_reasons[1])
             THEN false
           ELSE regexp_matches(coalesce(array_to_string(a.finish_reasons, ' '), ''),
             '(?i)\b(content_filter|refusal|safety|prohibited_content|blocklist|spii|recitation|image_safety)\b') END AS refused,
         a.calls, a.withheld, coalesce(t.findings, 0) AS findings, a.cost, a.duration_us
  FROM prompt_answers AS a LEFT JOIN told AS t ON t.exchange_id = a.exchange_id;
