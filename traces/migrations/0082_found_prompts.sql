-- The template behind a found prompt: what is left of system prompt and tools without what changes from request to request.

-- What each agent was asked with, one row for a template: many prompt versions may come to one.
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
