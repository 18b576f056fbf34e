-- What was deleted and still lies in the file: rows, and since when. Empty in a file that was written anew.
CREATE TABLE wear (dead BIGINT NOT NULL, since TIMESTAMP NOT NULL);

-- How many transactions of a month's content the ledger knows of: a file that has fewer has lost some.
ALTER TABLE content_months ADD COLUMN writes BIGINT;
