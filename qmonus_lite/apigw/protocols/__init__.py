"""One module for each way to upload: HTTP in, upload service behind."""
