-- Who committed a version of a kept prompt, and which nobody has.

ALTER TABLE prompts_loaded ADD COLUMN last_commit VARCHAR;
ALTER TABLE prompts_loaded ADD COLUMN author VARCHAR;
ALTER TABLE prompts_loaded ADD COLUMN committed BOOLEAN;

CREATE OR REPLACE VIEW kept_prompts AS
  SELECT name, version, min(loaded_at) AS first_loaded, max(loaded_at) AS last_loaded, arg_max(git, loaded_at) AS git,
    arg_max(labels, loaded_at) AS labels, any_value(source) AS source, arg_max(last_commit, loaded_at) AS last_commit,
    arg_max(author, loaded_at) AS author, bool_or(committed) AS committed
  FROM prompts_loaded GROUP BY name, version;
