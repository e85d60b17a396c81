"""The room `routing`, against real backends on real sockets."""
