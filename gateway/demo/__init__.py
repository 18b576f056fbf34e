"""What `tollhouse demo` stages: a bank, an agent that obeys whatever it reads, and a provider that plays both halves of a conversation.

`scene.yaml` is the provider's script, `bank` the agent's tools and the money, `agent` the loop in both wire formats, `stage` the processes.
Nothing here is part of the gateway; the gateway it talks to is the real one.
"""
