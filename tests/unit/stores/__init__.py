"""Tests of the upload stores."""
