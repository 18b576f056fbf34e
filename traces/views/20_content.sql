-- What was said. It lives in files of its own, one per month (../content.sql), which the catalogue `content` unites.

-- Every time a body was written: a body that is used again on another day, or by another worker, is on record again.
CREATE VIEW message_copies AS SELECT hash, role, body, first_seen FROM content.main.message_bodies;

CREATE VIEW messages AS
  SELECT hash, any_value(role) AS role, any_value(body) AS body, min(first_seen) AS first_seen
  FROM content.main.message_bodies GROUP BY hash;

-- Images, sounds, films and files in messages: what they were, never their bytes.
CREATE VIEW media AS SELECT DISTINCT message, kind, media_type, sha256, bytes, url FROM content.main.media_found;
