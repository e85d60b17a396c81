"""One PUT: from the path template to the receipt."""
