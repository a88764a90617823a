"""The server as its callers see it: a real process, real TLS, loopback."""
