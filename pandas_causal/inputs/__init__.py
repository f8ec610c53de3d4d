"""What columns are and must hold: roles, rules, schemas, encoding, legal values of parameters."""
