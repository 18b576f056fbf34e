-- What was deleted and still lies in the file: rows, and since when. Empty in a file that was written anew.
CREATE TABLE wear (dead BIGINT NOT NULL, since TIMESTAMP NOT NULL);
