"""A file for each module: no sockets, no sleeping, no mocks of our own code."""
