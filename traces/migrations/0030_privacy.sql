-- What was kept of an exchange's content, and prompt texts once for each tenant, mode of storing and data key.

ALTER TABLE exchanges_ended ADD COLUMN storing VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN storing VARCHAR;
ALTER TABLE prompt_bodies ADD COLUMN scope VARCHAR;

CREATE OR REPLACE VIEW exchanges AS
  SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;
