"""HTTP server that knows no upload and no plugin."""
