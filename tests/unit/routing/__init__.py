"""The package `routing`, against real backends on real sockets."""
