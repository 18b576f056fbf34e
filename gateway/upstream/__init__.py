"""ENGINE: the way to the provider. `routing` picks the upstream (pure), `client` talks to it."""
