-- Kept prompts: every version that was served, what each exchange was filled with, and who moved a label.

CREATE TABLE prompts_loaded (
  name VARCHAR NOT NULL, version VARCHAR NOT NULL, loaded_at TIMESTAMP, git VARCHAR, labels VARCHAR[],
  source VARCHAR USING COMPRESSION zstd, run VARCHAR, slot BIGINT, boot VARCHAR
);
CREATE TABLE prompts_rendered (
  exchange_id VARCHAR NOT NULL, rendered_at TIMESTAMP NOT NULL, name VARCHAR NOT NULL, version VARCHAR NOT NULL, label VARCHAR,
  variables VARCHAR USING COMPRESSION zstd
);
CREATE TABLE prompt_moves (
  id VARCHAR NOT NULL, moved_at TIMESTAMP NOT NULL, name VARCHAR NOT NULL, label VARCHAR NOT NULL, version VARCHAR NOT NULL, before VARCHAR,
  who VARCHAR, why VARCHAR
);

-- A version is loaded by every worker of every start.
CREATE VIEW kept_prompts AS
  SELECT name, version, min(loaded_at) AS first_loaded, max(loaded_at) AS last_loaded, arg_max(git, loaded_at) AS git,
    arg_max(labels, loaded_at) AS labels, any_value(source) AS source
  FROM prompts_loaded GROUP BY name, version;
