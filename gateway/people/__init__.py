"""ENGINE: who people are and what they may do on the admin plane. Agents are not people: what their keys prove is `identify` and `state`.

`roles` says which role holds which right, `names` what somebody may be called; they are pure. `passwords` says how one is kept. `issuers`
are the settings of those who sign for people and agents, `key_sets` their public keys, `passes` what a signed token proves.
"""
