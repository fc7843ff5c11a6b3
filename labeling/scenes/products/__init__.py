"""Satellite products as they are delivered: their files, metadata and reflectance."""
