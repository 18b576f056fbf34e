-- What was asked of the book in SQL, by whom, and how it went.

CREATE TABLE questions (
  id VARCHAR NOT NULL, asked_at TIMESTAMP NOT NULL, who VARCHAR NOT NULL, sql VARCHAR, form VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
  row_count BIGINT, truncated BOOLEAN, elapsed_us BIGINT
);
