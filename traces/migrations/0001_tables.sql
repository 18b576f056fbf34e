-- The ledger's tables. People query the views (../views). A table that is not to be read by itself ends in a word that says what it is for:
-- `_ended`, `_open`, `_told`, `_loaded`, … Later columns come with migrations of their own, each applied once.
-- Times are UTC. Spans of time are in microseconds and end in _us. Money is USD. NULL means "not known", never zero.
-- zstd is asked for by name where nearly every value is another one: left to itself, DuckDB keeps a dictionary of them, an eighth more.

-- Exchanges. ------------------------------------------------------------------------------------------------------------------------------

CREATE TABLE exchanges_ended (
  id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
  -- who asked, for whom, and the client's own trace
  agent VARCHAR NOT NULL, key_id VARCHAR, org VARCHAR, team VARCHAR, "user" VARCHAR, session VARCHAR, session_source VARCHAR,
  client VARCHAR, client_request_id VARCHAR, trace_id VARCHAR, parent_span_id VARCHAR, trace_sampled BOOLEAN,
  -- what for
  dialect VARCHAR NOT NULL, provider VARCHAR NOT NULL, operation VARCHAR NOT NULL, route VARCHAR NOT NULL, request_model VARCHAR,
  stream BOOLEAN, temperature DOUBLE, max_tokens BIGINT,
  -- with which prompt, its template, and the arm of an experiment
  prompt_hash VARCHAR, template_hash VARCHAR, experiment VARCHAR, arm VARCHAR, edition VARCHAR,
  -- where it went: where the provider speaks another dialect, which, and what of the request could not be said in it; how often targets of
  -- the route were asked, and which of them last; or whose answer was given again
  upstream VARCHAR, upstream_dialect VARCHAR, dropped_fields VARCHAR[], upstream_model VARCHAR, region VARCHAR, attempts BIGINT,
  rounds BIGINT, cache VARCHAR, cached_from VARCHAR,
  -- how it ended
  state VARCHAR NOT NULL, status BIGINT, upstream_status BIGINT, error_code VARCHAR, error_message VARCHAR, response_model VARCHAR,
  response_id VARCHAR USING COMPRESSION zstd, finish_reasons VARCHAR[],
  -- what was judged, and by which policy; `looked`: what looked at the answer without being asked by a rule and found nothing
  policy_hash VARCHAR, policy_git VARCHAR, enforcing BOOLEAN, calls BIGINT, denied BIGINT, unevaluated VARCHAR[], looked VARCHAR,
  looked_before BOOLEAN,
  -- what it took. The classes of tokens do not overlap
  input_tokens BIGINT, cache_read_tokens BIGINT, cache_write_tokens BIGINT, cache_write_1h_tokens BIGINT, audio_input_tokens BIGINT,
  audio_cache_read_tokens BIGINT, image_input_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT, audio_output_tokens BIGINT,
  image_output_tokens BIGINT, web_searches BIGINT, usage_raw VARCHAR,
  -- what it cost; where nobody heard the answer to its end, about what, which budgets count (`id=subject`)
  cost DECIMAL(18,9), price_version VARCHAR, price_model VARCHAR, service_tier VARCHAR, price_terms VARCHAR[], not_priced VARCHAR[],
  saved_cost DECIMAL(18,9), estimated_cost DECIMAL(18,9), estimate VARCHAR, budgets VARCHAR[],
  -- how long it took, and how much it was
  first_byte_us BIGINT, upstream_us BIGINT, duration_us BIGINT, overhead_us BIGINT, request_bytes BIGINT, bytes_out BIGINT,
  -- what was said: content addresses, how much of it was kept, and how it begins
  storing VARCHAR, request_messages VARCHAR[], response_message VARCHAR USING COMPRESSION zstd,
  input_preview VARCHAR USING COMPRESSION zstd, output_preview VARCHAR,
  -- whose journal says so
  durability VARCHAR, run VARCHAR NOT NULL, slot BIGINT NOT NULL, boot VARCHAR NOT NULL
);
CREATE TABLE exchanges_open AS FROM exchanges_ended LIMIT 0;

-- How targets of a route were asked for an exchange.
CREATE TABLE attempts (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, agent VARCHAR, ordinal BIGINT NOT NULL, upstream VARCHAR NOT NULL,
  model VARCHAR, region VARCHAR, kind VARCHAR NOT NULL, why VARCHAR, round BIGINT, waited_us BIGINT, first_byte_us BIGINT,
  duration_us BIGINT, status BIGINT, fault VARCHAR, retry_after_ms BIGINT, unsure BOOLEAN, answered BOOLEAN, read_tokens BIGINT,
  written_tokens BIGINT, cost DECIMAL(18,9)
);

-- Costs revised under later prices; what was recorded stays. A row says what it needs of its exchange, so that it may be applied before it.
CREATE TABLE cost_revisions (
  revision VARCHAR NOT NULL, revised_at TIMESTAMP NOT NULL, who VARCHAR, exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
  agent VARCHAR, team VARCHAR, provider VARCHAR, model VARCHAR, prompt_hash VARCHAR, recorded_cost DECIMAL(18,9), cost DECIMAL(18,9),
  price_version VARCHAR, price_model VARCHAR, not_priced VARCHAR[]
);

-- What was judged. ------------------------------------------------------------------------------------------------------------------------

CREATE TABLE calls (
  exchange_id VARCHAR NOT NULL, id VARCHAR NOT NULL USING COMPRESSION zstd, decided_at TIMESTAMP NOT NULL, "index" BIGINT NOT NULL,
  call_id VARCHAR USING COMPRESSION zstd, name VARCHAR NOT NULL, type VARCHAR, arguments VARCHAR USING COMPRESSION zstd,
  arguments_hash VARCHAR USING COMPRESSION zstd, effect VARCHAR NOT NULL, released BOOLEAN NOT NULL,
  code VARCHAR NOT NULL, reason VARCHAR, agent VARCHAR NOT NULL, session VARCHAR, policy VARCHAR, rule VARCHAR, would VARCHAR,
  policy_hash VARCHAR, judged_us BIGINT, approval VARCHAR, decided_by VARCHAR
);
-- Of calls, and of texts: of requests, of tools' results, of answers. What was said of a text belongs to no decision (`decision_id` = '').
CREATE TABLE rule_hits (
  exchange_id VARCHAR NOT NULL, decision_id VARCHAR NOT NULL USING COMPRESSION zstd, decided_at TIMESTAMP NOT NULL, policy VARCHAR NOT NULL,
  rule VARCHAR NOT NULL, effect VARCHAR NOT NULL, mode VARCHAR NOT NULL, error BOOLEAN NOT NULL, message VARCHAR, line BIGINT,
  hook VARCHAR, path VARCHAR, detector VARCHAR, action VARCHAR, original VARCHAR
);
CREATE TABLE findings (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, validator VARCHAR NOT NULL, code VARCHAR NOT NULL,
  severity VARCHAR NOT NULL, path VARCHAR, detail VARCHAR, action VARCHAR, version VARCHAR, policy VARCHAR, rule VARCHAR,
  span_hash VARCHAR, score DOUBLE
);
-- Which validators looked at the texts of an exchange because a rule asked them, and what came of it.
CREATE TABLE validations_told (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, agent VARCHAR NOT NULL, validator VARCHAR NOT NULL, version VARCHAR NOT NULL,
  hook VARCHAR NOT NULL, policy VARCHAR, rule VARCHAR NOT NULL, effect VARCHAR NOT NULL, mode VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
  before BOOLEAN NOT NULL, looks BIGINT NOT NULL, seen BIGINT NOT NULL, score DOUBLE, asked VARCHAR,
  -- What all rows of an exchange come to is told with one of them, so that shares are counted without gathering rows by exchange.
  covers VARCHAR, unsure BOOLEAN, meets VARCHAR
);

-- Calls that a person had to decide about: what was asked, who said what, and when.
CREATE TABLE approval_changes (
  id VARCHAR NOT NULL, change BIGINT NOT NULL, state VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, expires_at TIMESTAMP NOT NULL,
  agent VARCHAR, team VARCHAR, "user" VARCHAR, session VARCHAR, exchange_id VARCHAR, decision_id VARCHAR, tool VARCHAR,
  arguments VARCHAR, policy VARCHAR, rule VARCHAR, policy_hash VARCHAR, message VARCHAR, four_eyes BOOLEAN,
  decided_by VARCHAR, decided_at TIMESTAMP, reason VARCHAR, scope VARCHAR, edited VARCHAR, used_at TIMESTAMP
);
-- Sessions that a denial stopped and, without a session, agents that a person has paused; who let them go on.
CREATE TABLE session_changes (
  session VARCHAR NOT NULL, agent VARCHAR NOT NULL, change BIGINT NOT NULL, state VARCHAR NOT NULL, changed_at TIMESTAMP NOT NULL,
  team VARCHAR, "user" VARCHAR, policy VARCHAR, rule VARCHAR, exchange_id VARCHAR, decision_id VARCHAR, changed_by VARCHAR, why VARCHAR
);

-- What was in force: each version is loaded by every worker of every start. ---------------------------------------------------------------

CREATE TABLE policy_loads (hash VARCHAR NOT NULL, loaded_at TIMESTAMP, git VARCHAR, run VARCHAR, slot BIGINT, boot VARCHAR);
CREATE TABLE policy_files (hash VARCHAR NOT NULL, path VARCHAR, text VARCHAR);
CREATE TABLE policy_rules_loaded (
  hash VARCHAR NOT NULL, policy VARCHAR NOT NULL, rule VARCHAR NOT NULL, kind VARCHAR NOT NULL, effect VARCHAR, mode VARCHAR,
  tools VARCHAR[], pattern VARCHAR, catch_all BOOLEAN, file VARCHAR, line BIGINT
);

-- Kept prompts: every version that was served and who committed it, what each exchange was filled with, and who moved a label.
CREATE TABLE prompts_loaded (
  name VARCHAR NOT NULL, version VARCHAR NOT NULL, loaded_at TIMESTAMP, git VARCHAR, labels VARCHAR[],
  source VARCHAR USING COMPRESSION zstd, last_commit VARCHAR, author VARCHAR, committed BOOLEAN, run VARCHAR, slot BIGINT, boot VARCHAR
);
CREATE TABLE prompts_rendered (
  exchange_id VARCHAR NOT NULL, rendered_at TIMESTAMP NOT NULL, name VARCHAR NOT NULL, version VARCHAR NOT NULL, label VARCHAR,
  variables VARCHAR USING COMPRESSION zstd
);
CREATE TABLE prompt_moves (
  id VARCHAR NOT NULL, moved_at TIMESTAMP NOT NULL, name VARCHAR NOT NULL, label VARCHAR NOT NULL, version VARCHAR NOT NULL, before VARCHAR,
  who VARCHAR, why VARCHAR
);

-- Experiments on kept prompts: what each arm came to, what the book found when it looked.
CREATE TABLE experiment_changes (
  id VARCHAR NOT NULL, changed_at TIMESTAMP NOT NULL, experiment VARCHAR NOT NULL, design VARCHAR NOT NULL, edition VARCHAR NOT NULL,
  arm VARCHAR NOT NULL, state VARCHAR NOT NULL, who VARCHAR NOT NULL, why VARCHAR, prompt VARCHAR, version VARCHAR, control_version VARCHAR,
  weight DOUBLE, control_weight DOUBLE, look BIGINT, metric VARCHAR, difference DOUBLE, low DOUBLE, high DOUBLE, sessions BIGINT
);
CREATE TABLE experiment_looks_told (
  experiment VARCHAR NOT NULL, edition VARCHAR NOT NULL, look BIGINT NOT NULL, looked_at TIMESTAMP NOT NULL, share DOUBLE NOT NULL,
  arm VARCHAR NOT NULL, metric VARCHAR NOT NULL, guard BOOLEAN NOT NULL, control_sessions BIGINT NOT NULL, arm_sessions BIGINT NOT NULL,
  control_mean DOUBLE, arm_mean DOUBLE, difference DOUBLE, low DOUBLE, high DOUBLE, level DOUBLE, p DOUBLE, finding VARCHAR NOT NULL
);

-- What people did. ------------------------------------------------------------------------------------------------------------------------

-- Who was let in, and who no longer: changes of agents' keys and of people. Never a secret.
CREATE TABLE access_changes_told (
  id VARCHAR NOT NULL, changed_at TIMESTAMP NOT NULL, who VARCHAR, kind VARCHAR NOT NULL, what VARCHAR NOT NULL, subject VARCHAR NOT NULL,
  created_at TIMESTAMP NOT NULL, expires_at TIMESTAMP, agent VARCHAR, org VARCHAR, team VARCHAR, "user" VARCHAR, scope VARCHAR,
  store VARCHAR, family VARCHAR, roles VARCHAR[], teams VARCHAR[], why VARCHAR
);
-- Who let a budget begin again.
CREATE TABLE budget_resets (
  id VARCHAR NOT NULL, reset_at TIMESTAMP NOT NULL, who VARCHAR, budget VARCHAR NOT NULL, subject VARCHAR, why VARCHAR
);
-- Who read content, which keys were dropped, and what was said about exchanges.
CREATE TABLE content_reads_told (
  id VARCHAR NOT NULL, read_at TIMESTAMP NOT NULL, who VARCHAR, what VARCHAR, subject VARCHAR, why VARCHAR, count BIGINT
);
CREATE TABLE erasures_told (
  id VARCHAR NOT NULL, erased_at TIMESTAMP NOT NULL, who VARCHAR, tenant VARCHAR, "user" VARCHAR, why VARCHAR, keys VARCHAR[]
);
CREATE TABLE feedback_told (
  id VARCHAR NOT NULL, given_at TIMESTAMP NOT NULL, who VARCHAR, source VARCHAR, name VARCHAR, agent VARCHAR, team VARCHAR, "user" VARCHAR,
  key_id VARCHAR, exchange_id VARCHAR, decision_id VARCHAR, session VARCHAR, score DOUBLE, label VARCHAR, comment VARCHAR
);
-- What was asked of the book in SQL, by whom, and how it went.
CREATE TABLE questions (
  id VARCHAR NOT NULL, asked_at TIMESTAMP NOT NULL, who VARCHAR NOT NULL, sql VARCHAR, form VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
  row_count BIGINT, truncated BOOLEAN, elapsed_us BIGINT
);

-- Sums by day. ----------------------------------------------------------------------------------------------------------------------------
-- Kept up to date as rows come in (gateway/stores/sums.py). What is asked over all time is asked of them.

CREATE TABLE exchange_sums (
  day DATE, agent VARCHAR, team VARCHAR, provider VARCHAR, model VARCHAR, dialect VARCHAR, route VARCHAR, stream BOOLEAN, operation VARCHAR,
  state VARCHAR, enforcing BOOLEAN, prompt_hash VARCHAR, request_judged BOOLEAN, answer_judged BOOLEAN,
  exchanges BIGINT, unpriced BIGINT, with_calls BIGINT, cost DECIMAL(38,9), input_tokens BIGINT, cache_read_tokens BIGINT,
  cache_write_tokens BIGINT, cache_write_1h_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT, calls BIGINT, denied BIGINT,
  first_seen TIMESTAMP, last_seen TIMESTAMP
);
CREATE TABLE call_sums (
  day DATE, agent VARCHAR, name VARCHAR, released BOOLEAN, calls BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP
);
CREATE TABLE rule_sums (
  day DATE, policy VARCHAR, rule VARCHAR, line BIGINT, hits BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP
);

-- The ledger itself. ----------------------------------------------------------------------------------------------------------------------

CREATE TABLE boots (run VARCHAR NOT NULL, slot BIGINT NOT NULL, boot VARCHAR NOT NULL, booted_at TIMESTAMP, version VARCHAR);
CREATE TABLE journal_offsets (
  segment VARCHAR NOT NULL, next_offset BIGINT NOT NULL, head BLOB, records BIGINT NOT NULL, damage VARCHAR
);
-- Which files of content there should be (../content.sql), and how many transactions of each the ledger knows of: one that has fewer has
-- lost some.
CREATE TABLE content_months (month VARCHAR NOT NULL, writes BIGINT NOT NULL);
-- What was deleted and still lies in the file: rows, and since when. Empty in a file that was written anew.
CREATE TABLE wear (dead BIGINT NOT NULL, since TIMESTAMP NOT NULL);
-- What was applied of this folder, and the views that were laid over it: one row, a hash of their files.
CREATE TABLE schema_migrations (number BIGINT NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP);
CREATE TABLE schema_views (hash VARCHAR NOT NULL, laid_at TIMESTAMP);
