-- Exchanges whose provider speaks another dialect than the client: which, and what of the request could not be said in it.

ALTER TABLE exchanges_ended ADD COLUMN upstream_dialect VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN dropped_fields VARCHAR[];
ALTER TABLE exchanges_open ADD COLUMN upstream_dialect VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN dropped_fields VARCHAR[];

CREATE OR REPLACE VIEW exchanges AS
  SELECT * FROM exchanges_ended UNION ALL BY NAME SELECT * FROM exchanges_open;

CREATE OR REPLACE VIEW open_exchanges AS SELECT * FROM exchanges_open;
