-- The ledger's tables. Base tables end in a word that says what they are for (`_ended`, `_open`, `_bodies`, …); people query the views.
-- Times are UTC. Spans of time are in microseconds and end in _us. Money is USD. NULL means "not known", never zero.
-- zstd is asked for by name where nearly every value is another one: left to itself, DuckDB keeps a dictionary of them, an eighth more bytes.

CREATE TABLE exchanges_ended (
  id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, dialect VARCHAR NOT NULL, provider VARCHAR NOT NULL, operation VARCHAR NOT NULL,
  route VARCHAR NOT NULL, agent VARCHAR NOT NULL, key_id VARCHAR, team VARCHAR, "user" VARCHAR, session VARCHAR, session_source VARCHAR,
  client VARCHAR, client_request_id VARCHAR, request_model VARCHAR, response_model VARCHAR, response_id VARCHAR USING COMPRESSION zstd, stream BOOLEAN,
  temperature DOUBLE, max_tokens BIGINT, upstream VARCHAR, upstream_status BIGINT, status BIGINT, state VARCHAR NOT NULL,
  error_code VARCHAR, error_message VARCHAR, finish_reasons VARCHAR[], input_tokens BIGINT, cache_read_tokens BIGINT,
  cache_write_tokens BIGINT, cache_write_1h_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT, usage_raw VARCHAR,
  cost DECIMAL(18,9), price_version VARCHAR, price_model VARCHAR, prompt_hash VARCHAR, policy_hash VARCHAR, policy_git VARCHAR,
  enforcing BOOLEAN, durability VARCHAR, calls BIGINT, denied BIGINT, unevaluated VARCHAR[], request_bytes BIGINT, bytes_out BIGINT,
  first_byte_us BIGINT, upstream_us BIGINT, duration_us BIGINT, overhead_us BIGINT, request_messages VARCHAR[],
  response_message VARCHAR USING COMPRESSION zstd, input_preview VARCHAR USING COMPRESSION zstd, output_preview VARCHAR,
  run VARCHAR NOT NULL, slot BIGINT NOT NULL, boot VARCHAR NOT NULL
);
CREATE TABLE exchanges_open AS FROM exchanges_ended LIMIT 0;

CREATE TABLE calls (
  exchange_id VARCHAR NOT NULL, id VARCHAR NOT NULL USING COMPRESSION zstd, decided_at TIMESTAMP NOT NULL, "index" BIGINT NOT NULL,
  call_id VARCHAR USING COMPRESSION zstd, name VARCHAR NOT NULL, type VARCHAR, arguments VARCHAR USING COMPRESSION zstd,
  arguments_hash VARCHAR USING COMPRESSION zstd, effect VARCHAR NOT NULL, released BOOLEAN NOT NULL,
  code VARCHAR NOT NULL, reason VARCHAR, agent VARCHAR NOT NULL, session VARCHAR, policy VARCHAR, rule VARCHAR, would VARCHAR,
  policy_hash VARCHAR, judged_us BIGINT
);
CREATE TABLE rule_hits (
  exchange_id VARCHAR NOT NULL, decision_id VARCHAR NOT NULL USING COMPRESSION zstd, decided_at TIMESTAMP NOT NULL, policy VARCHAR NOT NULL,
  rule VARCHAR NOT NULL, effect VARCHAR NOT NULL, mode VARCHAR NOT NULL, error BOOLEAN NOT NULL, message VARCHAR, line BIGINT
);
CREATE TABLE findings (
  exchange_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, validator VARCHAR NOT NULL, code VARCHAR NOT NULL,
  severity VARCHAR NOT NULL, path VARCHAR, detail VARCHAR, action VARCHAR
);

CREATE TABLE message_bodies (hash VARCHAR NOT NULL, role VARCHAR, body VARCHAR, first_seen TIMESTAMP);
CREATE TABLE prompt_bodies (hash VARCHAR NOT NULL, agent VARCHAR, first_seen TIMESTAMP, system VARCHAR, tools VARCHAR);
CREATE TABLE policy_loads (hash VARCHAR NOT NULL, loaded_at TIMESTAMP, git VARCHAR, run VARCHAR, slot BIGINT, boot VARCHAR);
CREATE TABLE policy_files (hash VARCHAR NOT NULL, path VARCHAR, text VARCHAR);

CREATE TABLE boots (run VARCHAR NOT NULL, slot BIGINT NOT NULL, boot VARCHAR NOT NULL, booted_at TIMESTAMP, version VARCHAR);
CREATE TABLE journal_offsets (
  segment VARCHAR NOT NULL, next_offset BIGINT NOT NULL, head BLOB, records BIGINT NOT NULL, damage VARCHAR
);
