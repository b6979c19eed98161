-- The server (scheme, host, port and path) that a cursor's place is of; empty for what is no server, NULL until it moves next.
ALTER TABLE cursor ADD COLUMN address TEXT;
