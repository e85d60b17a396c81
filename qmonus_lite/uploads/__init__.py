"""Processing of a PUT upload, from the path template to the receipt."""
