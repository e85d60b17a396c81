"""The pages of the documentation: their commands typed, their samples tried, by real processes."""
