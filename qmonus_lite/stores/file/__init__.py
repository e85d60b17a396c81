"""Store on a file system: staging files, published by a rename."""
