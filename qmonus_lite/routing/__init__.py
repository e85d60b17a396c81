"""One routed request: match, authorization, schema, request script, backend, response script."""
