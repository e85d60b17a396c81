"""Tables of the reference pages, made of the code's own tables; one module a group of pages."""
