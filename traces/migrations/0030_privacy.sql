-- What was kept of an exchange's content, and prompt texts once for each tenant, mode of storing and data key.

ALTER TABLE exchanges_ended ADD COLUMN storing VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN storing VARCHAR;
ALTER TABLE prompt_bodies ADD COLUMN scope VARCHAR;

CREATE OR REPLACE VIEW exchanges AS
  SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;

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
CREATE VIEW content_reads AS SELECT * FROM content_reads_told;
CREATE VIEW erasures AS SELECT * FROM erasures_told;
CREATE VIEW feedback AS SELECT * FROM feedback_told;
