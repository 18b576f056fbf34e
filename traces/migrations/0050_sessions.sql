-- The client's own trace of an exchange; sessions that a denial stopped, and who resumed them.

ALTER TABLE exchanges_ended ADD COLUMN trace_id VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN trace_id VARCHAR;

CREATE OR REPLACE VIEW exchanges AS
  SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

CREATE TABLE session_changes (
  session VARCHAR NOT NULL, agent VARCHAR NOT NULL, change BIGINT NOT NULL, state VARCHAR NOT NULL, changed_at TIMESTAMP NOT NULL,
  team VARCHAR, "user" VARCHAR, policy VARCHAR, rule VARCHAR, exchange_id VARCHAR, decision_id VARCHAR, changed_by VARCHAR
);

-- As each stands now. A change may be on record twice.
CREATE VIEW stopped_sessions AS
  SELECT * FROM session_changes
  QUALIFY row_number() OVER (PARTITION BY session, agent, team, "user" ORDER BY change DESC) = 1;
