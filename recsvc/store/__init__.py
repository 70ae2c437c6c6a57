"""Redis: the connection, the private server, the names of the keys, and one module per family of keys."""
