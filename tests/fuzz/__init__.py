"""Bytes made up by a fuzzer, for what reads strangers' words; `scripts/fuzz` runs it for long."""
