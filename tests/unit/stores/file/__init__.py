"""Tests of the store on a file system."""
