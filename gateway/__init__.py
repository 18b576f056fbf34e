"""Tollhouse: the gateway between AI agents and model providers. This is the map.

It keeps **the gate** (every tool call a model proposes is judged against policies people can read), takes **the toll** (what each agent
spends) and writes **the book** (every decision, durable before its bytes, in a form that can be queried).

Words, the same in code, YAML, SQL columns, JSON and on the screen: an **exchange** is one request and its answer; its **caller** is a key
(agent, team, user) and a session; a **call** is a proposed tool action, normalised over all dialects; a **verdict** (`allow | warn |
redact | ask | deny`, or `unevaluated`, which is never a pass) is the judgement over it; a **finding** is what a validator saw; a **rule**
is a grant or a guard of a
**policy**; a **prompt version** is the hash of system prompt and tools; a **dialect** is a provider's wire format; a **route** leads a
model name to an upstream; the **journal** is the append-only truth, the **ledger** the DuckDB file
(or the lake of a fleet) derived from it, a **record** one row.

Processes: `supervisor` has one look whether all can be used (`preparing`), then starts N `worker`s (data plane, one shared port, never
DuckDB) and one `book` (owns DuckDB, admin plane): `children`, forked from a `nursery` that has imported what they need. A worker is
`assembling`, serving and `chores`. Workers append to their own journal segments; the book follows them.

The way of a request (`pipeline.relay` is this table):

    receive            app, front, turn    exact path → dialect; limits and time-outs (`turned_away`: what was no request is on record)
    identify           identify, state     key → caller, session
    fill in            prompting, prompt   a kept prompt that the request names, rendered into its system place
    decode             dialects            strictly: one meaning or refused
    stopped?           stopping, state     a session that a denial has stopped is refused
    recall             continuity, state   what the provider keeps for it is this caller's own
    verify             history, state      what it tells of earlier calls happened, or is labelled, where a policy wants to know
    screen             inbound, policy     words of users and results of tools: sent, redacted or refused
    admit              admission           what nobody can judge is refused while a policy enforces
    prompt version     prompt              fingerprint of system prompt and tools
    given before?      caching, state      an equal request's answer, where the settings keep them: judged like any other
    reserve            spending, state     what it may cost at the most is kept free in its budgets; settled when it has ended
    upstream           upstream            route, connect, stream
    choose, try again  attempting, routes  of a route's targets: which is asked, and whether another when it fails; mirrors beside it
    decode the answer  dialects            event by event
    hold and judge     holdback, judge     each call whole; policy and validators; released or replaced
                       metering, state     what limits have counted, where that is across a network
    look at words      screening           what the answer says: rules at `output` replace words or end it
    ask a person       approvals, waiting  `ask`: the answer is held, the decision found or pending
    steer              steering            a denial may have the model asked again, while nothing has left
    settle and record  bookkeeping, trace  cost, rows, journal: durable before the bytes they belong to
    respond            answering, dialects encoded from what was judged
    ask a judge        judging, afterwards a model's opinion of the answer, when it has left and is on record; asked through `relay` itself

Shelves (add a file and a line in the registry): `dialects`, `validators`, `state`, `stores`. Engines: `policy`, `prompt`, `upstream`,
`routes`, `screening`, `trace`, `people` (who may do what on the admin plane), `rollout` (what
experiments on prompts come to), `question` (SQL that people send, answered by a process that can reach
nothing), `telemetry` (what the book tells OpenTelemetry; no worker knows it). Faces: `web` (the admin plane's API), `face` (its pages),
`cli`, `demo`.
`rehearsal` is a provider that plays scripts, for tests and the demo; `bench` plays a public attack suite through the gateway, to measure
policies.

Who may import whom is a contract in `pyproject.toml`, checked on every change: from `cli` down to `errors`, never upwards; the engines of
decision (`dialects policy prompt validators trace holdback judge screening identify cost routes`) and their vocabulary (`exchange request
verdict answer`) do no I/O and know no clock, randomness or environment; policy does not know dialects, and dialects do not know policy.
"""

__version__ = "0.1.0"
