"""How fast the server is, as a ratio to what the same machine can do at the same moment."""
