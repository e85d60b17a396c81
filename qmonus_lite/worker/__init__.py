"""The Lambda worker: a separate process that receives signed events over HTTP and runs handlers."""
