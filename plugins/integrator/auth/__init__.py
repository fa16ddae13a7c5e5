"""Ways of signing in: one file a scheme, which declares its fields once; hook, connection form and docs are made from that."""
