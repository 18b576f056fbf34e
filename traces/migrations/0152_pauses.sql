-- Agents that a person has paused: changes without a session. What people say when they pause or resume.

ALTER TABLE session_changes ADD COLUMN why VARCHAR;

CREATE OR REPLACE VIEW stopped_sessions AS
  SELECT * FROM session_changes
  QUALIFY row_number() OVER (PARTITION BY session, agent, team, "user" ORDER BY change DESC) = 1;
