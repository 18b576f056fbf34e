-- title: Calls that wait for a person, the longest first
-- shows: content
SELECT created_at, expires_at, date_diff('second', created_at, make_timestamp(epoch_us(now()))) AS waits_s, agent, "user", tool,
       arguments, policy, rule, message, four_eyes, id
FROM approvals
WHERE state = 'pending' AND expires_at > make_timestamp(epoch_us(now()))
ORDER BY created_at, id
