"""Records on their way from LMDB to a Data layer's tops."""
