-- What packages are searched by, under the hash of their headers: the same package with another signature is found by the same.
CREATE TABLE package_search (
    header_sha256 TEXT PRIMARY KEY,
    summary       TEXT NOT NULL,
    words         TEXT NOT NULL, -- name and summary in lower case
    provides      TEXT NOT NULL, -- one a line
    files         TEXT NOT NULL  -- which triples of bytes are in its paths
);
CREATE INDEX package_header ON package (header_sha256);
