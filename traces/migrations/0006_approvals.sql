-- Calls that a person had to decide about: what was asked, who said what, and when.

ALTER TABLE calls ADD COLUMN approval VARCHAR;
ALTER TABLE calls ADD COLUMN decided_by VARCHAR;

CREATE TABLE approval_changes (
  id VARCHAR NOT NULL, change BIGINT NOT NULL, state VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, expires_at TIMESTAMP NOT NULL,
  agent VARCHAR, team VARCHAR, "user" VARCHAR, session VARCHAR, exchange_id VARCHAR, decision_id VARCHAR, tool VARCHAR,
  arguments VARCHAR, policy VARCHAR, rule VARCHAR, policy_hash VARCHAR, message VARCHAR, four_eyes BOOLEAN,
  decided_by VARCHAR, decided_at TIMESTAMP, reason VARCHAR, scope VARCHAR, edited VARCHAR, used_at TIMESTAMP
);

-- As each stands now. A change may be on record twice.
CREATE VIEW approvals AS
  SELECT * FROM approval_changes
  QUALIFY row_number() OVER (PARTITION BY id ORDER BY change DESC) = 1;
