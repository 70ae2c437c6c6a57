"""HTTP: one file per resource, schemas, errors, keys."""
