-- One month's content: `content-YYYY-MM.duckdb`, beside the ledger. Each file is removed whole when its month is to be forgotten.
-- zstd is asked for by name: left to itself, DuckDB stores bodies of some kilobytes as they are (4.7 times the bytes).

CREATE TABLE IF NOT EXISTS message_bodies (
  hash VARCHAR NOT NULL, role VARCHAR, body VARCHAR USING COMPRESSION zstd, first_seen TIMESTAMP
);
CREATE TABLE IF NOT EXISTS media_found (
  message VARCHAR NOT NULL, kind VARCHAR NOT NULL, media_type VARCHAR, sha256 VARCHAR, bytes BIGINT, url VARCHAR, first_seen TIMESTAMP
);
CREATE TABLE IF NOT EXISTS prompt_bodies (
  hash VARCHAR NOT NULL, agent VARCHAR, first_seen TIMESTAMP, system VARCHAR USING COMPRESSION zstd, tools VARCHAR USING COMPRESSION zstd,
  scope VARCHAR
);
-- How far each segment of the journal is in this file. Committed with the rows, before those of the ledger.
CREATE TABLE IF NOT EXISTS content_offsets (segment VARCHAR NOT NULL, next_offset BIGINT NOT NULL);
-- One row. `refilling`: something of the file was lost, and the journal is read again for it. `writes` counts transactions.
CREATE TABLE IF NOT EXISTS content_file (schema BIGINT NOT NULL, refilling BOOLEAN NOT NULL, writes BIGINT NOT NULL);
-- What was deleted and still lies in the file: rows, and since when.
CREATE TABLE IF NOT EXISTS wear (dead BIGINT NOT NULL, since TIMESTAMP NOT NULL);
