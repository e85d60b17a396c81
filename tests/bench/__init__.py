"""Benches: what an upload costs, beside other servers in the same run (`scripts/bench`)."""
