"""HTTP server machinery that knows no upload and no plugin."""
