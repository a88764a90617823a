"""A node of our own: it runs Pods as real processes with addresses, volumes, tokens and probes."""
