"""What the project promises, shown; each folder is a package, so that file names may repeat."""
