-- Images, sounds, films and files in messages: what they were, never their bytes.

CREATE TABLE media_found (
  message VARCHAR NOT NULL, kind VARCHAR NOT NULL, media_type VARCHAR, sha256 VARCHAR, bytes BIGINT, url VARCHAR
);

CREATE VIEW media AS SELECT DISTINCT * FROM media_found;
