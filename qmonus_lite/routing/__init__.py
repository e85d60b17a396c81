"""Request pipeline of routes: match, authorization, schema, request script, backend,
response script."""
