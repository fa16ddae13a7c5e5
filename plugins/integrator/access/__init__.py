"""Who may do what: the table of roles, and nothing that keeps or serves anything."""
