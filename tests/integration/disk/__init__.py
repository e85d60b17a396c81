"""Proofs about what a crash or a failing disk leaves, on the storage rooms as they are."""
