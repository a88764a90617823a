"""The certificates of the webhook: a program of its own that never runs inside the server."""
