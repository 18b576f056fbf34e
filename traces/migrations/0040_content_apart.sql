-- Content lives in files of its own, one per month (traces/content.sql); the catalogue `content` unites them.

DROP VIEW unnamed_tools;
DROP VIEW tools_seen;
DROP VIEW prompt_versions;
DROP VIEW messages;
DROP VIEW media;
DROP TABLE message_bodies;
DROP TABLE prompt_bodies;
DROP TABLE media_found;

-- Which files there should be.
CREATE TABLE content_months (month VARCHAR NOT NULL);

-- Every time a body was written: a body that is used again on another day, or by another worker, is on record again.
CREATE VIEW message_copies AS SELECT hash, role, body, first_seen FROM content.main.message_bodies;

CREATE VIEW messages AS
  SELECT hash, any_value(role) AS role, any_value(body) AS body, min(first_seen) AS first_seen FROM content.main.message_bodies GROUP BY hash;

CREATE VIEW media AS SELECT DISTINCT message, kind, media_type, sha256, bytes, url FROM content.main.media_found;

CREATE VIEW prompt_versions AS
  WITH seen AS (
    SELECT prompt_hash AS hash, agent, min(started_at) AS first_seen, max(started_at) AS last_seen, count(*) AS exchanges
    FROM exchanges WHERE prompt_hash IS NOT NULL GROUP BY ALL
  ), bodies AS (
    SELECT hash, any_value(system) AS system, any_value(tools) AS tools FROM content.main.prompt_bodies GROUP BY hash
  )
  SELECT hash, agent, first_seen, last_seen, exchanges, system, tools FROM seen LEFT JOIN bodies USING (hash);

CREATE VIEW tools_seen AS
  WITH told AS (
    SELECT DISTINCT ON (p.hash, p.agent) p.agent, p.first_seen, from_json(p.tools, '["JSON"]') AS tools
    FROM content.main.prompt_bodies AS p WHERE p.tools LIKE '[%' ORDER BY p.first_seen
  ), each AS (
    SELECT agent, first_seen, unnest(tools) AS tool FROM told
  ), declared AS (
    SELECT coalesce(tool->>'$.function.name', tool->>'$.custom.name', tool->>'$.name', tool->>'$.type') AS name, agent,
           min(first_seen) AS first_seen, count(*) AS prompts
    FROM each GROUP BY ALL
  ), called AS (
    SELECT name, agent, min(decided_at) AS first_seen, count(*) AS calls, max(decided_at) AS last_called FROM calls GROUP BY ALL
  )
  SELECT coalesce(d.name, c.name) AS name, count(DISTINCT coalesce(d.agent, c.agent)) AS agents,
         coalesce(sum(d.prompts), 0)::BIGINT AS prompts, coalesce(sum(c.calls), 0)::BIGINT AS calls,
         min(least(coalesce(d.first_seen, c.first_seen), coalesce(c.first_seen, d.first_seen))) AS first_seen, max(c.last_called) AS last_called
  FROM declared AS d FULL JOIN called AS c ON c.name = d.name AND c.agent = d.agent
  WHERE coalesce(d.name, c.name) IS NOT NULL GROUP BY ALL;

-- A rule names a tool when a pattern of its other than a bare * matches it.
CREATE VIEW unnamed_tools AS
  SELECT t.* FROM tools_seen AS t
  WHERE NOT EXISTS (SELECT 1 FROM rules_in_force AS r WHERE NOT r.catch_all AND regexp_full_match(t.name, r.pattern));
