-- Who may, what they did, and what they said.

-- A change may be on record twice.
CREATE VIEW access_changes AS
  SELECT * FROM access_changes_told QUALIFY row_number() OVER (PARTITION BY id ORDER BY changed_at) = 1;

-- As each key stands now: revoked_at where it was revoked.
CREATE VIEW agent_keys AS
  SELECT subject AS id, agent, org, team, "user", scope, store, family, created_at, expires_at,
         CASE WHEN what = 'revoked' THEN changed_at END AS revoked_at, who AS changed_by, changed_at
  FROM access_changes WHERE kind = 'key'
  QUALIFY row_number() OVER (PARTITION BY subject ORDER BY what = 'revoked' DESC, changed_at DESC, id DESC) = 1;

-- As each person stands now: removed_at where they are no more let in.
CREATE VIEW people AS
  SELECT subject AS person, roles, teams, created_at, expires_at,
         CASE WHEN what = 'removed' THEN changed_at END AS removed_at, who AS changed_by, changed_at
  FROM access_changes WHERE kind = 'person'
  QUALIFY row_number() OVER (PARTITION BY subject ORDER BY changed_at DESC, id DESC) = 1;

CREATE VIEW content_reads AS SELECT * FROM content_reads_told;
CREATE VIEW erasures AS SELECT * FROM erasures_told;
CREATE VIEW feedback AS SELECT * FROM feedback_told;
