"""The nouns: what a pipe, a record's outcome, a run and a credential are. No I/O."""
