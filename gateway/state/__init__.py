"""SHELF: state that all workers share at once. What there is to know, and what a store of it does, is a module each: `keys` (virtual keys),
`belongings` (whose what is that providers keep), `approvals` (what people approved), `limits` (what limits have counted), `issued` (which
calls were delivered), `sessions` (which are stopped), `prompts` (where labels of prompts point), `data_keys` (under which content is
encrypted), `answers` (to be given again), `people` and `sign_ins` (of the admin plane), `access` (changes of keys and people).

The embedded stores are in SQLite, for one machine: `sqlite` for virtual keys, `sqlite_access` for people too, `sqlite_*` of the same name
for the others; `embedded` opens them. The same in Redis or Valkey, for several machines: `redis_*`, opened by `remote`. All of them are
asked synchronously; `asking` says whether at once or in a thread. Answers alone have no file: they are in a worker's memory
(`memory_answers`) or in Redis.
"""
