"""Proofs about what a crash or a failing disk leaves, on the storage modules as they are."""
