"""Measuring what policies are worth: a public attack suite played through the running gateway. For people who write policies.

`suites` is the only module that knows AgentDojo (an optional extra); `stories` says who proposes what and when, `wordings` how an injection
is written, `client` speaks to the gateway as an agent does, `figures` counts, `run` puts them together. It is no model: the rehearsal
provider proposes what the suite's own solutions propose, and obeys every injection it reads. That is the worst a model can do, so the
figures say what the policy stops, not how likely a model is to be fooled.
"""
