"""Events on their way: envelope, signature, the question, the outbox and its dispatcher."""
