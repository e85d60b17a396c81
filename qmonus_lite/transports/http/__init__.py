"""Signed HTTP/1.1 POSTs between APIGW and Lambda workers: both ends, and the worker registry."""
