-- What rules said of texts: of requests, of tools' results, of answers. Such a row belongs to no decision about a call (`decision_id` = '').

ALTER TABLE rule_hits ADD COLUMN hook VARCHAR DEFAULT 'tool_call';
ALTER TABLE rule_hits ADD COLUMN path VARCHAR;
ALTER TABLE rule_hits ADD COLUMN detector VARCHAR;
ALTER TABLE rule_hits ADD COLUMN action VARCHAR;
ALTER TABLE rule_hits ADD COLUMN original VARCHAR;
