"""Keeping: who puts files in their place, promises their events, and delivers them."""
