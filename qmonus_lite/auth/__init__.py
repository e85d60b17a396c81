"""Who may do what: accounts and roles, tokens, API keys, and the pass of callout."""
