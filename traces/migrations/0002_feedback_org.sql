-- Of which organisation's key an exchange was that somebody said something about: of a session nothing else says whose it is.
ALTER TABLE feedback_told ADD COLUMN org VARCHAR;
