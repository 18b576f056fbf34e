-- How many transactions of a month's content the ledger knows of: a file that has fewer has lost some.
ALTER TABLE content_months ADD COLUMN writes BIGINT;
