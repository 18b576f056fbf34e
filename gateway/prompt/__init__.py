"""ENGINE: which version of a prompt an exchange used. So far found prompts: the fingerprint of system prompt and tools."""
