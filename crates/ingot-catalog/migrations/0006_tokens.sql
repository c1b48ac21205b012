-- Access tokens by their SHA-256 in lower-case hex, and whose they are. Tokens are random, so a hash tells nothing.
CREATE TABLE tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    principal TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
