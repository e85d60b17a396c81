"""Authentication and authorization: accounts, roles, tokens, API keys and callout passes."""
